"""UNet2DModel against diffusers: the same weights give the same output and gradients, the same seed the same weights."""
import json
import os
import random
import zlib

import pytest
import torch
from conftest import relative_error, run
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file

D, A, R, S, AS = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D")
U, AU, RU, SU, ASU = ("UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D")

# The networks of the course and the papers, as diffusers is told to make them.
PRESETS = {
    "butterflies": dict(sample_size=32, block_out_channels=(64, 128, 128, 256), down_block_types=(D, D, A, A),
                        up_block_types=(AU, AU, U, U)),
    "mnist": dict(sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 64),
                  down_block_types=(D, A, A), up_block_types=(AU, AU, U)),
    "cifar10": dict(sample_size=32, block_out_channels=(128, 256, 256, 256), down_block_types=(D, A, D, D),
                    up_block_types=(U, U, AU, U), attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False,
                    freq_shift=1, norm_eps=1e-6),
    "script": dict(sample_size=64, block_out_channels=(128, 128, 256, 256, 512, 512),
                   down_block_types=(D, D, D, D, A, D), up_block_types=(U, AU, U, U, U, U)),
}


def random_config(seed):
    """One network out of all options; small, because it is the options that are tested."""
    r = random.Random(seed)
    levels = r.choice([1, 2, 2, 3, 3, 4])
    skips = r.random() < 0.3
    config = dict(
        sample_size=r.choice([None, 16, [16, 24]]),
        in_channels=3 if skips else r.choice([1, 2, 3, 4]),
        out_channels=3 if skips else r.choice([1, 3, 6]),
        center_input_sample=r.random() < 0.3,
        time_embedding_type=r.choice(["positional", "positional", "fourier", "learned"]),
        time_embedding_dim=r.choice([None, None, 48]),
        freq_shift=r.choice([0, 1]),
        flip_sin_to_cos=r.random() < 0.5,
        down_block_types=[r.choice([S, AS] if skips else [D, A, R]) for _ in range(levels)],
        mid_block_type=r.choice(["UNetMidBlock2D"] * 4 + [None]),
        up_block_types=[r.choice([SU, ASU] if skips else [U, AU, RU]) for _ in range(levels)],
        block_out_channels=[32 * r.choice([1, 2]) if skips else 8 * r.choice([1, 2, 3, 4]) for _ in range(levels)],
        layers_per_block=r.choice([1, 1, 2, 3]),
        mid_block_scale_factor=r.choice([1, 1, 2**0.5]),
        downsample_padding=r.choice([0, 1, 1]),
        downsample_type=r.choice(["conv", "resnet"]),
        upsample_type=r.choice(["conv", "resnet"]),
        dropout=r.choice([0.0, 0.1]),
        act_fn=r.choice(["silu", "swish", "mish", "gelu", "relu"]),
        attention_head_dim=r.choice([None, 3, 4, 8]),
        norm_num_groups=r.choice([2, 4, 8]),
        attn_norm_num_groups=r.choice([None, None, 1, 4]),
        norm_eps=r.choice([1e-5, 1e-6]),
        resnet_time_scale_shift=r.choice(["default", "default", "scale_shift"]),
        add_attention=r.random() < 0.8,
        num_train_timesteps=1000,
    )
    kind = r.choice([None, None, "table", "timestep", "identity"])
    if kind == "table":
        config["num_class_embeds"] = 10
    elif kind:
        config["class_embed_type"] = kind
    return config


CONFIGS = {f"random {seed}": random_config(seed) for seed in range(36)} | {
    "skips without groups": dict(block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=None,
                                 time_embedding_type="fourier", down_block_types=(S, AS), up_block_types=(SU, ASU)),
    "skips only at the ends": dict(block_out_channels=(32, 64), layers_per_block=1, down_block_types=(D, S),
                                   up_block_types=(U, SU)),
    "narrow heads": dict(block_out_channels=(4, 8), layers_per_block=2, norm_num_groups=2, attention_head_dim=3,
                         down_block_types=(D, A), up_block_types=(AU, U)),
    "old names": dict(block_out_channels=(32, 32), layers_per_block=1, down_block_types=("UNetResDownBlock2D", A),
                      up_block_types=(AU, "UNetResUpBlock2D")),
    "mnist": PRESETS["mnist"],
}
GRADIENTS = [name for name in CONFIGS if name in {"skips without groups", "narrow heads", "mnist"} or name[-1] in "159"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The networks are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(config, seed=0):
    torch.manual_seed(seed)
    return UNet2DModel(**config).eval()


def draw_inputs(config, model, seed):
    """A batch of two at a size that need not be square; the timesteps as whole numbers or fractions, one or a batch."""
    r, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    multiple = 2 ** (len(config["block_out_channels"]) - 1)
    size = [multiple * r.choice([2, 3, 5]) if multiple < 8 else 2 * multiple for _ in range(2)]
    if multiple == 2:
        size = [18, 20]
    inputs = {"sample": torch.randn(2, model.config.in_channels, *size, generator=generator)}
    inputs["target"] = torch.randn(2, model.config.out_channels, *size, generator=generator)
    choices = [torch.tensor(10), torch.tensor([10, 500]), torch.tensor([3])]
    if config.get("time_embedding_type") != "learned":
        choices += [torch.tensor([0.25, 700.5]), torch.tensor(3.5)]
    inputs["timesteps"] = r.choice(choices)
    if config.get("class_embed_type") == "identity":
        inputs["class_labels"] = torch.randn(2, model.time_embedding.linear_2.out_features, generator=generator)
    elif config.get("class_embed_type") or config.get("num_class_embeds"):
        inputs["class_labels"] = torch.tensor([1, 7])
    return inputs


def forward(model, inputs):
    return model(inputs["sample"], inputs["timesteps"], inputs.get("class_labels")).sample


def drive(tmp, requests):
    (tmp / "request.json").write_text(json.dumps(requests))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return json.loads(run("unet_driver", tmp / "request.json", env=environment).stdout)


def prepare(folder, name, **extra):
    """Saves diffusers' weights and inputs of one case, and what diffusers makes of them."""
    config, folder = CONFIGS[name], folder / name.replace(" ", "_")
    folder.mkdir()
    model = build(config)
    with torch.no_grad():  # norms that scale, shifts that shift: fresh ones are 1 and 0
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape))
    inputs = draw_inputs(config, model, len(name) + sum(map(ord, name)))
    save_file(dict(model.state_dict()), folder / "weights.safetensors")
    save_file(inputs, folder / "inputs.safetensors")
    request = dict(config=config, weights=str(folder / "weights.safetensors"), inputs=str(folder / "inputs.safetensors"),
                   output=str(folder / "output.safetensors"), **extra)
    return model, inputs, request


@pytest.fixture(scope="module")
def forwards(tmp_path_factory):
    """Every network's output, theirs and ours, from one run of the driver."""
    tmp = tmp_path_factory.mktemp("forwards")
    prepared = {name: prepare(tmp, name) for name in CONFIGS}
    reports = drive(tmp, [request for _, _, request in prepared.values()])
    out = {}
    for (name, (model, inputs, request)), report in zip(prepared.items(), reports):
        with torch.no_grad():
            theirs = forward(model, inputs)
        out[name] = (theirs, report, request, model)
    return out


@pytest.mark.parametrize("name", CONFIGS)
def test_same_weights_give_the_same_output(forwards, name):
    theirs, report, request, model = forwards[name]
    assert "error" not in report, report
    ours = load_file(request["output"])["output"]
    assert ours.shape == theirs.shape
    assert relative_error(ours, theirs) < 1e-5  # float32 sums in another order


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_and_their_order_are_the_same(forwards, name):
    _, report, _, model = forwards[name]
    assert [key for key, _ in report["state"]] == list(model.state_dict())
    assert report["parameters"] == model.num_parameters()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_survives(forwards, name):
    """diffusers builds the same network from the config that we write."""
    _, report, _, model = forwards[name]
    again = UNet2DModel.from_config(report["config"])
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    mine, theirs = dict(report["config"]), dict(json.loads(model.to_json_string()))
    for config in (mine, theirs):
        config["down_block_types"] = [t.removeprefix("UNetRes") for t in config["down_block_types"]]
        config["up_block_types"] = [t.removeprefix("UNetRes") for t in config["up_block_types"]]
    assert mine == theirs


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("seeds")
    cases = [dict(preset=name, seed=3) for name in PRESETS] + [dict(config=c, seed=11) for c in CONFIGS.values()]
    return dict(zip([*(f"preset {name}" for name in PRESETS), *CONFIGS], drive(tmp, cases)))


@pytest.mark.parametrize("name", [*(f"preset {name}" for name in PRESETS), *CONFIGS])
def test_the_same_seed_gives_the_same_bits(seeds, name):
    preset = name.removeprefix("preset ") if name.startswith("preset ") else None
    model = build(PRESETS[preset], 3) if preset else build(CONFIGS[name], 11)
    theirs = [[key, zlib.crc32(value.numpy().tobytes())] for key, value in model.state_dict().items()]
    assert seeds[name]["state"] == theirs


def test_presets_have_the_published_sizes(seeds):
    sizes = {name: seeds[f"preset {name}"]["parameters"] for name in ("butterflies", "mnist", "script")}
    assert sizes == {"butterflies": 18_536_323, "mnist": 1_707_009, "script": 113_673_219}


@pytest.fixture(scope="module")
def backwards(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("backwards")
    out = {}
    for checkpointing in (False, True):
        folder = tmp / str(checkpointing)
        folder.mkdir()
        prepared = {name: prepare(folder, name, gradients=True, gradient_checkpointing=checkpointing) for name in GRADIENTS}
        reports = drive(folder, [request for _, _, request in prepared.values()])
        for (name, case), report in zip(prepared.items(), reports):
            out[name, checkpointing] = (*case, report)
    return out


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_the_same(backwards, name, checkpointing):
    model, inputs, request, report = backwards[name, checkpointing]
    assert "error" not in report, report
    torch.nn.functional.mse_loss(forward(model, inputs), inputs["target"]).backward()
    theirs = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    ours = {k.removeprefix("gradient."): v for k, v in load_file(request["output"]).items() if k.startswith("gradient.")}
    assert ours.keys() == theirs.keys()
    # Some gradients are zero but for rounding: of a key's bias (a softmax does not see it), of a shift before a norm over one
    # channel. They are measured against the largest of the others.
    floor = 1e-2 * max(gradient.abs().max() for gradient in theirs.values())
    for key in theirs:
        error = (ours[key] - theirs[key]).abs().max() / theirs[key].abs().max().clamp_min(floor)
        assert error < 1e-4, key  # float32 sums in another order, through the whole network


def test_bfloat16_weights_run(tmp_path):
    model, inputs, request = prepare(tmp_path, "mnist", dtype="bfloat16")
    inputs["sample"] = inputs["sample"].bfloat16()
    save_file(inputs, request["inputs"])
    report, = drive(tmp_path, [request])
    with torch.no_grad():
        theirs = forward(model.bfloat16(), inputs)
    ours = load_file(request["output"])["output"]
    assert "error" not in report and ours.dtype == torch.bfloat16
    assert relative_error(ours, theirs) < 3e-2  # bfloat16 has 8 bits, and its sums are made in another order
