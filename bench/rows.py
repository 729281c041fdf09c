"""The rows of the benchmark: what of ours is timed beside what of a peer, and the ratio that is the goal."""
from dataclasses import dataclass, field

# What helps PyTorch most on glibc: large blocks stay with the process instead of being mapped and cleared at every step.
TUNED_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592", "MALLOC_TOP_PAD_": "268435456"}


@dataclass(frozen=True)
class Program:
    """A command that prints its own times as JSON, or (timed = "outside") one whose whole life is timed."""
    name: str
    words: tuple
    environment: dict = field(default_factory=dict)
    timed: str = "inside"
    repeats: int = 3


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    target: float  # at most ours / the best peer's; for "seconds" the most seconds
    ours: Program
    peers: tuple
    measure: str = "wall"  # "wall", "peak_memory" or "seconds"


def ours(what, network, *, batch=None, precision="fp32", steps=None, repeats=3):
    words = ["{unnoise}", "bench", network, "--what", what, "--json", "--threads", "{threads}", "--repeats", "{repeats}"]
    if batch:
        words += ["--batch-size", str(batch)]
    if precision == "bf16":
        words += ["--mixed-precision", "bf16"]
    if steps:
        words += ["--num-inference-steps", str(steps)]
    return Program("unnoise", tuple(words), repeats=repeats)


def pytorch(what, network, *, batch=None, precision="fp32", compiled=False, steps=None, tuned=True, repeats=3):
    words = ["{python}", "bench/peers/pytorch.py", what, network, "--precision", precision, "--threads", "{threads}",
             "--repeats", "{repeats}"]
    if batch:
        words += ["--batch-size", str(batch)]
    if compiled:
        words.append("--compiled")
    if steps:
        words += ["--steps", str(steps)]
    name = "PyTorch" + (" compiled" if compiled else " eager") + (" bf16 autocast" if precision == "bf16" else "")
    return Program(name + (", malloc tuned" if tuned else ""), tuple(words), TUNED_MALLOC if tuned else {}, repeats=repeats)


def openvino(network, batch, precision):
    words = ("{python}", "bench/peers/inference.py", network, "--precision", precision, "--batch-size", str(batch),
             "--threads", "{threads}", "--repeats", "{repeats}")
    return Program("OpenVINO " + precision, words, repeats=20 if batch == 1 else 5)


def training_row(network, batch, precision, target):
    peers = [pytorch("train", network, batch=batch, precision=precision)]
    if precision == "fp32":
        peers.append(pytorch("train", network, batch=batch, compiled=True))
    return Row(f"train-{network}-{precision}", f"training step, {network}, batch {batch}, {precision}", target,
               ours("train", network, batch=batch, precision=precision), tuple(peers))


def forward_row(batch, precision, target):
    return Row(f"forward-cifar10-{batch}-{precision}", f"forward, cifar10, batch {batch}, {precision}", target,
               ours("forward", "cifar10", batch=batch, precision=precision, repeats=20 if batch == 1 else 5),
               (openvino("cifar10", batch, precision),))


def cold_row(steps, target):
    unnoise = Program("unnoise sample", ("{unnoise}", "sample", "--model", "{model}", "--num-inference-steps", str(steps),
                                         "--threads", "{threads}", "--output", "{scratch}/ours"), timed="outside", repeats=2)
    peer = Program("diffusers script", ("{python}", "bench/peers/cold.py", "{model}", str(steps), "{scratch}/peer.png"),
                   {"OMP_NUM_THREADS": "{threads}"}, timed="outside", repeats=2)
    return Row(f"cold-{steps}", f"cold start and one picture, cifar10, DDIM {steps}", target, unnoise, (peer,))


def memory_row(what, network, batch, target, steps=None):
    peers = [pytorch(what, network, batch=batch, steps=steps, tuned=tuned, repeats=1) for tuned in (False, True)]
    return Row(f"memory-{what}-{network}", f"peak memory, {what}, {network}, batch {batch}", target,
               ours(what, network, batch=batch, steps=steps, repeats=1), tuple(peers), "peak_memory")


ROWS = (
    training_row("butterflies", 64, "fp32", 0.50),
    training_row("butterflies", 64, "bf16", 0.55),
    training_row("mnist", 128, "fp32", 0.40),
    training_row("mnist", 128, "bf16", 0.40),
    training_row("cifar10", 16, "fp32", 0.50),
    training_row("cifar10", 16, "bf16", 0.60),
    training_row("script", 16, "fp32", 0.45),
    forward_row(1, "fp32", 0.75),
    forward_row(1, "bf16", 0.80),
    forward_row(16, "fp32", 0.55),
    forward_row(16, "bf16", 0.65),
    Row("ddim50-cifar10", "DDIM 50, cifar10, one picture, warm, fp32", 0.33, ours("sample", "cifar10", batch=1, steps=50, repeats=2),
        (pytorch("sample", "cifar10", batch=1, steps=50, repeats=2),)),
    cold_row(1, 0.12),
    cold_row(50, 0.20),
    memory_row("train", "butterflies", 64, 0.45),
    memory_row("train", "cifar10", 16, 0.5),
    memory_row("sample", "cifar10", 1, 0.5, steps=5),
    Row("help", "unnoise --help", 0.05, Program("unnoise --help", ("{unnoise}", "--help"), timed="outside", repeats=10),
        (Program("a Python start", ("{python}", "-c", "pass"), timed="outside", repeats=10),), "seconds"),
)
