"""unnoise/training against torch.optim, diffusers' schedules and EMAModel, and whole training runs against PyTorch."""
import json
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import KERNELS, relative_error
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # networks so small that threads would only wait for each other


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(driver, tmp_path):
    """run(request) -> (what the driver printed, the tensors it wrote)"""

    def call(request):
        output = tmp_path / "output.safetensors"
        printed = json.loads(driver("training_driver", {**request, "output": str(output)}, env=ONE_THREAD).stdout)
        return printed, load_file(output) if output.exists() else {}

    return call


def kept(tensors, path):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


# --- learning rate ---------------------------------------------------------------------------------------------------

LR_CASES = [
    dict(type=name, warmup_steps=warmup, total_steps=total, **extra)
    for name, extras in {
        "constant": [{}],
        "constant_with_warmup": [{}],
        "linear": [{}],
        "cosine": [{}],
        "cosine_with_restarts": [{"num_cycles": 1}, {"num_cycles": 3}, {"num_cycles": 7}],
        "polynomial": [{"power": 1.0}, {"power": 2.5, "learning_rate": 3e-3}],
        "piecewise_constant": [{"step_rules": "1:10,0.1:200,0.005"}, {"step_rules": "0.3:400,2:50,1"}, {"step_rules": "0.7"}],
    }.items()
    for extra in extras
    for warmup, total in [(0, 300), (50, 300), (7, 133), (500, 400)]
]


def diffusers_multipliers(case, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=case.get("learning_rate", 1e-4))
    schedule = get_scheduler(
        case["type"],
        optimizer,
        step_rules=case.get("step_rules"),
        num_warmup_steps=case["warmup_steps"],
        num_training_steps=case["total_steps"],
        num_cycles=case.get("num_cycles", 1),
        power=case.get("power", 1.0),
    )
    return [schedule.lr_lambdas[0](step) for step in range(steps)]


def test_learning_rates_equal_diffusers_at_every_step(run):
    steps = 450  # past the end of most
    ours, _ = run({"task": "lr", "schedules": LR_CASES, "steps": steps})
    for case, mine in zip(LR_CASES, ours):
        # The same double arithmetic; cos and pow may differ in the last bit.
        assert mine == pytest.approx(diffusers_multipliers(case, steps), rel=1e-13, abs=1e-15), case


# --- optimizers ------------------------------------------------------------------------------------------------------

OPTIMIZERS = [
    (dict(type="adamw", learning_rate=1e-2, beta1=0.95, beta2=0.999, weight_decay=1e-6), torch.optim.AdamW),
    (dict(type="adamw", learning_rate=1e-3, beta1=0.9, beta2=0.99, weight_decay=0.1, epsilon=1e-6), torch.optim.AdamW),
    (dict(type="adam", learning_rate=1e-2, beta1=0.9, beta2=0.999, weight_decay=0.0), torch.optim.Adam),
    (dict(type="adam", learning_rate=1e-2, beta1=0.9, beta2=0.999, weight_decay=0.05), torch.optim.Adam),
    (dict(type="sgd", learning_rate=0.1, weight_decay=0.0, momentum=0.0), torch.optim.SGD),
    (dict(type="sgd", learning_rate=0.1, weight_decay=1e-2, momentum=0.9), torch.optim.SGD),
    (dict(type="sgd", learning_rate=0.1, weight_decay=1e-2, momentum=0.9, nesterov=True), torch.optim.SGD),
]


def torch_optimizer(cls, parameters, o):
    common = dict(lr=o["learning_rate"], weight_decay=o["weight_decay"], foreach=False)
    if cls is torch.optim.SGD:
        return cls(parameters, momentum=o["momentum"], nesterov=o.get("nesterov", False), **common)
    return cls(parameters, betas=(o["beta1"], o["beta2"]), eps=o.get("epsilon", 1e-8), **common)


@pytest.mark.parametrize("options, cls", OPTIMIZERS)
def test_optimizers_follow_torch_for_50_steps(run, tmp_path, options, cls):
    steps, generator = 50, torch.Generator().manual_seed(0)
    shapes = {"conv": (8, 3, 3, 3), "bias": (17,), "linear": (33, 21)}
    start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    # Gradients of both sizes around the clipping norm of 1.
    grads = [
        {name: torch.randn(shape, generator=generator) * (0.01 if step % 3 else 0.2) for name, shape in shapes.items()}
        for step in range(steps)
    ]
    tensors = {f"start.{name}": tensor for name, tensor in start.items()}
    tensors |= {f"{step}.{name}": tensor for step in range(steps) for name, tensor in grads[step].items()}
    norms, ours = run(
        dict(task="optimizer", options=options, names=list(shapes), steps=steps, max_grad_norm=1.0,
             tensors=kept(tensors, tmp_path / "in.safetensors"))
    )

    parameters = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    optimizer = torch_optimizer(cls, list(parameters.values()), options)
    for step in range(steps):
        for name, p in parameters.items():
            p.grad = grads[step][name].clone()
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        assert norms[step] == pytest.approx(norm.item(), rel=1e-6)
        optimizer.step()
        for name, p in parameters.items():
            # The fused kernels round in another order than the loop over tensors.
            assert relative_error(ours[f"{step}.{name}"], p.detach()) < 1e-6, (step, name)


# Rules of our own. 8-bit AdamW's reference is the paper's formulas, written here; Muon's is torch's.

def dynamic_map(signed):
    """bitsandbytes' create_dynamic_map(), restated."""
    values = [0.0, 1.0]
    for decade in range(7):
        edges = np.linspace(0.1, 1, 2 ** (decade if signed else decade + 1) + 1)
        means = 10.0 ** (decade - 6) * (edges[:-1] + edges[1:]) / 2
        values += [*means, *(-means if signed else [])]
    return np.sort(np.array(values, np.float32)).astype(np.float64)


def numpy_adamw8bit(start, grads, o):
    """Blocks of 256 scaled by their largest value, then the nearest of 256 numbers; squares above 0 stay above 0."""
    def round_trip(x, signed):
        blocks = np.pad(x.ravel(), (0, -x.size % 256)).reshape(-1, 256)
        scale = np.maximum(np.abs(blocks).max(1, keepdims=True), 1e-38)
        values = dynamic_map(signed)
        codes = np.abs((blocks / scale)[..., None] - values).argmin(-1)
        if not signed:
            codes = np.where((codes == 0) & (blocks > 0), 1, codes)
        return (values[codes] * scale).ravel()[:x.size].reshape(x.shape)

    p = start.double().numpy().copy()
    m, v = np.zeros(p.shape), np.zeros(p.shape)
    for step, g in enumerate((g.double().numpy() for g in grads), 1):
        m, v = o["beta1"] * m + (1 - o["beta1"]) * g, o["beta2"] * v + (1 - o["beta2"]) * g * g
        p *= 1 - o["learning_rate"] * o["weight_decay"]
        p -= o["learning_rate"] / (1 - o["beta1"] ** step) * m / (np.sqrt(v / (1 - o["beta2"] ** step)) + 1e-8)
        m, v = round_trip(m, True), round_trip(v, False)
        yield p


def torch_muon(start, grads, o):
    p = start.flatten(1).clone().requires_grad_()
    muon = torch.optim.Muon([p], lr=o["learning_rate"], weight_decay=o["weight_decay"], adjust_lr_fn="match_rms_adamw")
    for g in grads:
        p.grad = g.flatten(1).clone()
        muon.step()
        yield p.detach().double().numpy().reshape(start.shape)


def own_rule(run, tmp_path, options, shape, name="linear"):
    steps, generator = 50, torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    grads = [torch.randn(shape, generator=generator) * (0.01 if step % 3 else 0.2) for step in range(steps)]
    tensors = {f"start.{name}": start} | {f"{step}.{name}": g for step, g in enumerate(grads)}
    _, ours = run(dict(task="optimizer", options=options, names=[name], steps=steps, max_grad_norm=1e30, tensors=kept(tensors, tmp_path / "in.safetensors")))
    return start, grads, ours


def test_8_bit_adamw_follows_the_paper_for_50_steps(run, tmp_path):
    options = dict(type="adamw8bit", learning_rate=1e-2, beta1=0.9, beta2=0.99, weight_decay=0.1)
    start, grads, ours = own_rule(run, tmp_path, options, (65, 70))  # 17 blocks and a rest
    for step, p in enumerate(numpy_adamw8bit(start, grads, options)):
        # Where float32 and float64 fall on two sides of a border, the code differs: the step then does by at most the
        # distance of two codes, and these are few.
        off = (ours[f"{step}.linear"].double() - torch.tensor(p)).abs()
        assert off.median() < 1e-6 and (off > 1e-5).double().mean() < 0.02 and off.max() < 0.02, (step, off.max())


@pytest.mark.parametrize("shape", [(33, 21), (16, 8, 3, 3)])
def test_muon_follows_torch_for_50_steps(run, tmp_path, shape):
    options = dict(type="muon", learning_rate=1e-3, weight_decay=0.1)
    start, grads, ours = own_rule(run, tmp_path, options, shape)
    for step, p in enumerate(torch_muon(start, grads, options)):
        # torch orthogonalizes in bfloat16 (8 bits), here float32: compared is the way gone.
        way, off = torch.tensor(p) - start, ours[f"{step}.linear"].double() - torch.tensor(p)
        assert off.norm() < 0.02 * way.norm(), step


@pytest.mark.parametrize("name", ["conv_in.weight", "norm.bias"])
def test_muon_leaves_the_rest_to_adamw(run, tmp_path, name):
    options = dict(type="muon", learning_rate=1e-2, beta1=0.9, beta2=0.99, weight_decay=0.1)
    start, grads, ours = own_rule(run, tmp_path, options, (17,) if name == "norm.bias" else (8, 3, 3, 3), name)
    p = start.clone().requires_grad_()
    adamw = torch_optimizer(torch.optim.AdamW, [p], options)
    for step, g in enumerate(grads):
        p.grad = g.clone()
        adamw.step()
        assert relative_error(ours[f"{step}.{name}"], p.detach()) < 1e-6


# --- moving average --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(use_ema_warmup=True, power=0.75, inv_gamma=1.0),
        dict(use_ema_warmup=True, power=2 / 3, inv_gamma=2.5, decay=0.9),
        dict(update_after_step=20, min_decay=0.5),
    ],
)
def test_average_equals_ema_model_over_100_steps(run, tmp_path, options):
    steps, generator = 100, torch.Generator().manual_seed(1)
    values = [torch.randn(1000, generator=generator) for _ in range(steps + 1)]
    report, ours = run(
        dict(task="ema", options=options, steps=steps,
             tensors=kept({f"{i}.p": value for i, value in enumerate(values)}, tmp_path / "in.safetensors"))
    )
    p = torch.nn.Parameter(values[0].clone())
    ema = EMAModel([p], **options)
    for step in range(1, steps + 1):
        p.data = values[step]
        ema.step([p])
        assert report["decays"][step - 1] == pytest.approx(ema.cur_decay_value, rel=1e-14, abs=1e-15)
        # s + w(p - s) instead of s - w(s - p): float32 rounding of numbers near 1.
        assert relative_error(ours[f"{step}.p"], ema.shadow_params[0]) < 1e-6, step
    theirs = {key: value for key, value in ema.state_dict().items() if key != "shadow_params"}
    assert report["config"] == pytest.approx(theirs)


# --- whole training --------------------------------------------------------------------------------------------------

CONFIG = dict(
    sample_size=8,
    in_channels=3,
    out_channels=3,
    layers_per_block=1,
    block_out_channels=[8, 16],
    norm_num_groups=4,
    down_block_types=["DownBlock2D", "AttnDownBlock2D"],
    up_block_types=["AttnUpBlock2D", "UpBlock2D"],
)
SETTINGS = dict(
    config=CONFIG,
    optimizer=dict(type="adamw", learning_rate=1e-3, beta1=0.95, beta2=0.999, weight_decay=1e-6),
    ema=dict(use_ema_warmup=True, inv_gamma=1.0, power=0.75),
    lr=dict(type="cosine", warmup_steps=5, total_steps=50),
    max_grad_norm=1.0,
    steps=50,
)
# Softmax cancels a bias of the keys: its gradient is rounding noise, which Adam blows up to steps of full size.
NO_GRADIENT = "to_k.bias"


def script_loss(prediction_type, loss, snr_gamma, noise_scheduler, output, x0, eps, t):
    """As diffusers' training scripts write it."""
    target = {"epsilon": eps, "sample": x0, "v_prediction": noise_scheduler.get_velocity(x0, eps, t)}[prediction_type]
    abar = noise_scheduler.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    snr = abar / (1 - abar)
    distance = {"l2": F.mse_loss, "l1": F.l1_loss, "huber": F.smooth_l1_loss}[loss](output, target, reduction="none")
    if snr_gamma:
        clipped = snr.clamp(max=snr_gamma)
        return (distance * {"epsilon": clipped / snr, "sample": clipped, "v_prediction": clipped / (snr + 1)}[prediction_type]).mean()
    return (distance * (snr if prediction_type == "sample" else 1)).mean()


def torch_training(unet, draws, settings, prediction_type="epsilon", loss="l2", snr_gamma=None):
    """The loop of train_unconditional.py with given pictures, noise and timesteps."""
    o, lr = settings["optimizer"], settings["lr"]
    noise_scheduler = DDPMScheduler()
    ema = EMAModel(unet.parameters(), **settings["ema"])
    optimizer = torch.optim.AdamW(
        unet.parameters(), lr=o["learning_rate"], betas=(o["beta1"], o["beta2"]), weight_decay=o["weight_decay"], eps=1e-8
    )
    lr_scheduler = get_scheduler(
        lr["type"], optimizer, num_warmup_steps=lr["warmup_steps"], num_training_steps=lr["total_steps"]
    )
    losses, norms = [], []
    unet.train()
    for x0, eps, t in draws:
        output = unet(noise_scheduler.add_noise(x0, eps, t), t).sample
        value = script_loss(prediction_type, loss, snr_gamma, noise_scheduler, output, x0, eps, t)
        value.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(unet.parameters(), settings["max_grad_norm"]).item())
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
        ema.step(unet.parameters())
        losses.append(value.item())
    averages = dict(zip((name for name, _ in unet.named_parameters()), ema.shadow_params))
    return losses, norms, averages


def make_draws(steps, batch=4):
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.rand(batch, 3, 8, 8, generator=generator) * 2 - 1,
            torch.randn(batch, 3, 8, 8, generator=generator),
            torch.randint(0, 1000, (batch,), generator=generator),
        )
        for _ in range(steps)
    ]


def file_of(draws, path):
    names = ("x0", "eps", "t")
    return kept({f"{i}.{name}": tensor for i, draw in enumerate(draws) for name, tensor in zip(names, draw)}, path)


@pytest.mark.parametrize(
    "objective",
    [
        {},
        dict(prediction_type="sample"),
        dict(prediction_type="v_prediction", loss="huber"),
        dict(loss="l1"),
        dict(snr_gamma=5.0),
        dict(prediction_type="v_prediction", snr_gamma=5.0),
    ],
    ids=lambda objective: "-".join(map(str, objective.values())) or "epsilon",
)
def test_training_follows_pytorch_for_50_steps(run, tmp_path, objective):
    torch.manual_seed(3)
    unet = UNet2DModel(**CONFIG)
    weights = kept(unet.state_dict(), tmp_path / "weights.safetensors")
    draws = make_draws(SETTINGS["steps"])
    report, ours = run(
        {**SETTINGS, **objective, "task": "train", "weights": weights, "draws": file_of(draws, tmp_path / "draws.safetensors")}
    )
    losses, norms, averages = torch_training(unet, draws, SETTINGS, **objective)
    assert report["losses"] == pytest.approx(losses, rel=1e-5)
    assert report["norms"] == pytest.approx(norms, rel=1e-4)  # a norm feels every gradient's rounding
    for name, tensor in unet.state_dict().items():
        if name.endswith(NO_GRADIENT):
            continue
        assert (ours[f"weights.{name}"] - tensor).abs().max() < 1e-5, name
        assert (ours[f"ema.{name}"] - averages[name]).abs().max() < 1e-5, name
    assert report["ema"]["optimization_step"] == SETTINGS["steps"]


def test_training_from_a_seed_gives_the_known_numbers(run):
    """Weights, pictures, noise and timesteps drawn here; the numbers came from diffusers 0.42.1 with the same seeds."""
    report, tensors = run(
        {**SETTINGS, "task": "train", "seed": 0, "shape": [4, 3, 8, 8], "steps": 5, "lr": {"type": "constant"}}
    )
    # Printed with six and five decimals.
    assert report["losses"] == pytest.approx([1.154557, 1.085817, 1.010371, 1.024500, 1.027826], abs=2e-6)
    assert report["norms"] == pytest.approx([1.68389, 1.68346, 1.45263, 1.30864, 1.06480], abs=2e-5)
    total = {kind: sum(t.double().abs().sum().item() for name, t in tensors.items() if name.startswith(kind)) for kind in ("weights", "ema")}
    assert total["weights"] == pytest.approx(2862.39121, rel=1e-6)
    assert total["ema"] == pytest.approx(2861.29047, rel=1e-6)


def test_bfloat16_training_stays_near_float32(run, tmp_path):
    torch.manual_seed(3)
    weights = kept(UNet2DModel(**CONFIG).state_dict(), tmp_path / "weights.safetensors")
    draws = file_of(make_draws(SETTINGS["steps"]), tmp_path / "draws.safetensors")
    request = {**SETTINGS, "task": "train", "weights": weights, "draws": draws}
    full, _ = run(request)
    half, tensors = run({**request, "mixed_precision": "bf16"})
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    assert half["losses"] != full["losses"]
    assert half["losses"] == pytest.approx(full["losses"], rel=0.05)
    # Recomputed in bfloat16 too: in float32 the first gradient's norm would be 2e-4 away. The kernels round maps to
    # bfloat16 at more places, so another order of sums shows a little more: 7e-5.
    again, _ = run({**request, "mixed_precision": "bf16", "gradient_checkpointing": True, "steps": 1})
    assert again["norms"][0] == pytest.approx(half["norms"][0], rel=5e-5 if KERNELS == "plain" else 1e-4)


def test_gradient_checkpointing_changes_nothing(run, tmp_path):
    torch.manual_seed(3)
    weights = kept(UNet2DModel(**CONFIG).state_dict(), tmp_path / "weights.safetensors")
    draws = file_of(make_draws(10), tmp_path / "draws.safetensors")
    request = {**SETTINGS, "task": "train", "weights": weights, "draws": draws, "steps": 10}
    plain, kept_all = run(request)
    thrifty, recomputed = run({**request, "gradient_checkpointing": True})
    assert thrifty["losses"] == pytest.approx(plain["losses"], rel=1e-6)
    for name in kept_all:
        if name.endswith(NO_GRADIENT):
            continue
        assert (kept_all[name] - recomputed[name]).abs().max() < 1e-6, name
