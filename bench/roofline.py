"""Runs kernel_bench and draws each kernel below the machine's roof (Williams, Waterman and Patterson 2009)."""
import json
import math
import subprocess
from xml.sax.saxutils import escape

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def measure(program, quick):
    words = [str(program), "--benchmark_format=json"] + (["--benchmark_min_time=0.02"] if quick else [])
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    context, rows = found["context"], []
    peak, copy = float(context["peak_gflops"]) * 1e9, float(context["copy_gb_per_s"]) * 1e9
    for run in found["benchmarks"]:
        row = {"name": run["name"].removesuffix("/real_time"), "seconds": run["real_time"] * UNITS[run["time_unit"]]}
        for name in ("bytes_per_second", "of_peak", "of_copy"):
            if name in run:
                row[name] = run[name]
        if "FLOP/s" in run:
            row |= {"flops": run["FLOP/s"], "of_peak": run["FLOP/s"] / peak}
        if "FLOP/byte" in run:
            row["flops_a_byte"] = run["FLOP/byte"]
        if "bytes_per_second" in run:
            row["of_copy"] = run["bytes_per_second"] / copy
        rows.append(row)
    return {"peak_gflops": peak / 1e9, "copy_gb_per_s": copy / 1e9, "threads": int(context["threads"]), "simd": context["simd"],
            "rows": rows}


WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 480, 70, 60, 40, 20
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#e377c2", "#7f7f7f", "#bcbd22")


def family_of(kernel):
    return kernel["name"].split("/")[0].split("<")[0]


def to_svg(kernels):
    points = [row for row in kernels["rows"] if "flops_a_byte" in row]
    peak, copy = kernels["peak_gflops"], kernels["copy_gb_per_s"]
    x_low, x_high = -3, max([9] + [math.ceil(math.log2(p["flops_a_byte"])) for p in points])
    y_low = math.floor(math.log2(min([copy * 2**x_low] + [p["flops"] / 1e9 for p in points])))
    y_high = math.ceil(math.log2(max([peak] + [p["flops"] / 1e9 for p in points]))) + 1

    def x_of(value):
        return LEFT + (math.log2(value) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_of(value):
        return HEIGHT - BOTTOM - (math.log2(value) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="22" font-size="14">Kernels below the roof: {kernels["threads"]} threads, {kernels["simd"]}</text>']
    for power in range(x_low, x_high + 1):
        x = x_of(2.0**power)
        svg.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>'
                   f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{2.0**power:g}</text>')
    for power in range(y_low, y_high + 1):
        y = y_of(2.0**power)
        svg.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#eee"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{2.0**power:g}</text>')
    ridge = peak / copy
    svg += [f'<polyline fill="none" stroke="#333" stroke-width="2" points="{x_of(2.0**x_low):.1f},{y_of(copy * 2.0**x_low):.1f} '
            f'{x_of(ridge):.1f},{y_of(peak):.1f} {x_of(2.0**x_high):.1f},{y_of(peak):.1f}"/>',
            f'<text x="{WIDTH - RIGHT - 4}" y="{y_of(peak) - 6:.1f}" text-anchor="end">{peak:.0f} GFLOP/s, float32</text>',
            f'<text x="{x_of(2.0**x_low) + 40:.1f}" y="{y_of(copy * 2.0**x_low):.1f}">{copy:.1f} GB/s, copy</text>',
            f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 14}" text-anchor="middle">operations of the direct algorithm a byte of operands</text>',
            f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text>']
    families = sorted({family_of(p) for p in points})
    for p in points:
        colour = COLOURS[families.index(family_of(p)) % len(COLOURS)]
        svg.append(f'<circle cx="{x_of(p["flops_a_byte"]):.1f}" cy="{y_of(p["flops"] / 1e9):.1f}" r="4" fill="{colour}" fill-opacity="0.7">'
                   f'<title>{escape(p["name"])}: {p["flops"] / 1e9:.0f} GFLOP/s</title></circle>')
    for i, family in enumerate(families):
        y = HEIGHT - BOTTOM - 14 * (len(families) - i)
        svg.append(f'<circle cx="{WIDTH - 200}" cy="{y - 4}" r="4" fill="{COLOURS[i % len(COLOURS)]}"/><text x="{WIDTH - 190}" y="{y}">{escape(family)}</text>')
    return "\n".join([*svg, "</svg>"]) + "\n"
