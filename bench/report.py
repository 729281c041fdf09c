"""The figures of tools/bench as text: a line on the terminal, docs/bench.md."""
import importlib.metadata
import os
import pathlib
import platform


def describe_machine(threads):
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    shown = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    peers = ("torch", "diffusers", "openvino", "onnxruntime")
    return {"processor": fields.get("model name", platform.machine()), "vector_instructions": shown, "threads": threads,
            "memory_gb": round(memory / 1e9), "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
            "versions": {name: importlib.metadata.version(name) for name in peers}}


def seconds(value):
    if value < 1e-3:
        return f"{1e6 * value:.1f} us"
    return f"{1e3 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def megabytes(value):
    return f"{value / 1e6:.0f} MB"


def value_of(row, figures):
    return figures["peak_memory"] if row["measure"] == "peak_memory" else figures["wall_min"]


def shown(row, figures):
    return megabytes(figures["peak_memory"]) if row["measure"] == "peak_memory" else seconds(figures["wall_min"])


def one_line(row):
    peers = ", ".join(f"{peer['name']} {shown(row, peer)}" for peer in row["peers"])
    goal = f"at most {row['target']} s" if row["measure"] == "seconds" else f"ratio {row['ratio']:.3f}, at most {row['target']:.2f}"
    return f"{row['id']:<24} {shown(row, row['ours']):>10} beside {peers}: {goal}, {'reached' if row['reached'] else 'missed'}"


def table_line(row):
    best = min(row["peers"], key=lambda peer: value_of(row, peer))
    cpu = "-" if row["measure"] == "peak_memory" else f"{seconds(row['ours']['cpu_min'])} / {seconds(best['cpu_min'])}"
    ratio = f"{row['ratio']:.2f}"
    target = f"{row['target']} s" if row["measure"] == "seconds" else f"{row['target']:.2f}"
    title = row["title"] + (" *" if row["quick"] else "")
    return (f"| {title} | {shown(row, row['ours'])} | {shown(row, best)} | {best['name']} | {cpu} | {ratio} | {target} | "
            f"{'yes' if row['reached'] else '**no**'} |")


def to_markdown(results, order):
    machine = results["machine"]
    rows = [results["rows"][name] for name in order if name in results["rows"]]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    every = [f"| {row['title']} | {f['name']} | {seconds(f['wall_min'])} | {seconds(f['wall_median'])} | {seconds(f['cpu_min'])} | "
             f"{megabytes(f['peak_memory'])} | {f['repetitions']} |" for row in rows for f in [row["ours"], *row["peers"]]]
    text = f"""# unnoise beside its peers

Made by `make bench`; run it to have your own machine's figures, or `unnoise bench` for our side alone. How the speed comes about:
[performance.md](performance.md).

Machine: {machine['processor']} ({', '.join(machine['vector_instructions'])}), {machine['threads']} threads, {machine['memory_gb']} GB,
{machine['system']}. Peers: {versions}.

The programs of a row run in turns, each in a process of its own; the best repetition of all turns counts. The ratio is ours to the best
peer's, smaller is better; the target was set before the work. "malloc tuned" is what speeds PyTorch up most on glibc (bench/rows.py says
how). Processor time is that of all threads. A training step is noise, forward, loss, backward, clip and AdamW; a forward pass has no
gradients; "cold" is a whole process, from its start to the PNG on disk.

| work | unnoise | best peer | which | CPU time, ours / peer's | ratio | at most | reached |
| --- | --- | --- | --- | --- | --- | --- | --- |
""" + "\n".join(map(table_line, rows)) + ("\n\nRows with a star: one turn and one repetition, a first look.\n" if any(row["quick"] for row in rows) else "\n") + """

## Every program

| work | program | best | median | CPU time | peak memory | repetitions |
| --- | --- | --- | --- | --- | --- | --- |
""" + "\n".join(every) + "\n"
    if "kernels" in results:
        kernels = results["kernels"]
        text += f"""
## The kernels and the roofline

![Arithmetic a byte against arithmetic a second, the kernels below the roof](images/roofline.svg)

Measured peaks of this machine: {kernels['peak_gflops']:.0f} GFLOP/s of float32 multiply-adds, {kernels['copy_gb_per_s']:.1f} GB/s of a copy.
Operations are counted as the direct algorithm has them, so that Winograd's convolution can pass the roof; what fits the caches can pass its slope.

| kernel | time | GFLOP/s | share of peak | GB/s | share of copy |
| --- | --- | --- | --- | --- | --- |
""" + "\n".join(kernel_line(kernel) for kernel in kernels["rows"] if "of_peak" in kernel or "of_copy" in kernel) + "\n"
    return text


def kernel_line(kernel):
    def cell(name, scale, digits=0):
        return f"{kernel[name] * scale:.{digits}f}" if name in kernel else "-"

    share = f"{100 * kernel['of_peak']:.0f} %" if "of_peak" in kernel else "-"
    copied = f"{100 * kernel['of_copy']:.0f} %" if "of_copy" in kernel else "-"
    return (f"| {kernel['name']} | {seconds(kernel['seconds'])} | {cell('flops', 1e-9)} | {share} | "
            f"{cell('bytes_per_second', 1e-9, 1)} | {copied} |")
