"""Times a function as `unnoise bench` does: wall and processor seconds of each repetition, after a warm-up."""
import json
import resource
import time


def processor_seconds():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def time_calls(function, warm_up, repeats):
    wall, cpu = [], []
    for i in range(warm_up + repeats):
        cpu_before, before = processor_seconds(), time.perf_counter()
        function()
        if i >= warm_up:
            wall.append(time.perf_counter() - before)
            cpu.append(processor_seconds() - cpu_before)
    return {"wall": sorted(wall), "cpu": sorted(cpu)}


def report(**figures):
    figures["peak_memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(figures), flush=True)
