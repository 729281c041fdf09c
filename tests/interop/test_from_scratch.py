"""The examples from_scratch and annotated, from the data to the figures, against PyTorch and the real diffusers."""
import base64
import gzip
import io
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from annotated_reference import Net
from conftest import run
from diffusers import UNet2DModel
from PIL import Image
from safetensors.torch import load_file

# --- from_scratch ----------------------------------------------------------------------------------------------------------


def basic_unet(w):
    """The notebook's network, from its description."""
    layer = lambda name, h: F.silu(F.conv2d(h, w[name + ".weight"], w[name + ".bias"], padding=2))
    pool, grow = lambda h: F.max_pool2d(h, 2), lambda h: h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def net(x, _amount):
        full = layer("down_layers.0", x)
        half = layer("down_layers.1", pool(full))
        h = layer("up_layers.0", layer("down_layers.2", pool(half)))
        return layer("up_layers.2", grow(layer("up_layers.1", grow(h) + half)) + full)

    return net


def unet2d(w, timestep):
    D, A, U, AU = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"
    model = UNet2DModel(sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 64),
                        down_block_types=(D, A, A), up_block_types=(AU, AU, U))
    model.load_state_dict(w)
    return lambda x, amount: model(x, timestep(amount)).sample


NETWORKS = {
    "basic": basic_unet,
    "unet2d": lambda w: unet2d(w, lambda amount: 0),
    "unet2d-time": lambda w: unet2d(w, lambda amount: torch.tensor(1000 * amount)),
}


@torch.no_grad()
def path(net, x, n):
    """[(input, prediction), ...] and the result of the toy's sampler."""
    steps = []
    for i in range(n):
        prediction = net(x, 1 - i / n)
        steps.append((x, prediction))
        x = x + (prediction - x) / (n - i)
    return steps, x


def ink(x):
    """[N,1,H,W] in [0,1] -> [N,H,W], black on white as the figures have it."""
    return 255 - (x[:, 0].clamp(0, 1) * 255).round()


def cells(image, size, columns):
    """A sheet taken apart: [N,size,size], row by row."""
    pixels, step = torch.from_numpy(np.asarray(image.convert("L"), dtype=np.float32)), size + 2
    rows = (pixels.shape[0] - 2) // step
    return torch.stack([pixels[2 + r * step:, 2 + c * step:][:size, :size] for r in range(rows) for c in range(columns)])


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """network -> (what it printed, its folder)."""
    out = {}
    for name in NETWORKS:
        folder = tmp_path_factory.mktemp(name)
        few = ["--pictures", 256, "--batch-size", 32, "--epochs", 3] if name == "basic" else \
              ["--pictures", 32, "--batch-size", 16, "--epochs", 1]
        done = run("example_from_scratch", "--output-dir", folder, "--network", name, "--samples", 4, *few)
        out[name] = done.stdout, folder
    return out


def test_the_loss_of_256_pictures_halves_in_three_epochs(toys):
    first, = [float(m) for m in re.findall(r"step 1  loss (\S+)", toys["basic"][0])]
    means = [float(m) for m in re.findall(r"mean loss (\S+)", toys["basic"][0])]
    assert len(means) == 3 and means[2] < means[1] < means[0] and means[2] < first / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_are_what_pytorch_draws_with_the_weights(toys, name):
    """The same weights, noise and formula: the sampler, its 40 steps, and what the network is told (0 or a fractional t)."""
    folder = toys[name][1]
    net = NETWORKS[name](load_file(folder / "network.safetensors"))
    g = torch.Generator().manual_seed(1)
    for _ in range(2):
        torch.rand(8, 1, 28, 28, generator=g)  # the figures of the corruption
    first, last = torch.rand(8, 1, 28, 28, generator=g), torch.rand(4, 1, 28, 28, generator=g)

    drawn = cells(Image.open(folder / "samples.png"), 56, 4)[:, ::2, ::2]
    assert (drawn - ink(path(net, last, 40)[1])).abs().max() <= 1  # rounding to 8 bits, at the edge

    svg = (folder / "steps.svg").read_text()
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", svg)[1])))
    for shown, (x, prediction) in zip(cells(sheet, 28, 16).split(16), path(net, first, 5)[0], strict=True):
        assert (shown - torch.cat([ink(x), ink(prediction)])).abs().max() <= 1


def test_being_told_the_noise_changes_the_network(toys):
    a, b = (load_file(toys[name][1] / "network.safetensors") for name in ("unet2d", "unet2d-time"))
    assert sum(v.numel() for v in a.values()) == 1_707_009
    assert any(not torch.equal(a[key], b[key]) for key in a)


def test_the_figures_are_there(toys):
    names = {"corruption.svg", "predictions.svg", "steps.svg", "samples.png", "loss.svg", "network.safetensors"}
    for _, folder in toys.values():
        assert {path.name for path in folder.iterdir()} == names


def test_mnists_own_files_are_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)
    header = b"".join(n.to_bytes(4, "big") for n in (0x803, 9, 28, 28))
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(header + pixels.tobytes()))
    for data in (tmp_path, file):
        done = run("example_from_scratch", "--data", data, "--output-dir", tmp_path / "out", "--epochs", 1, "--samples", 1)
        assert done.stdout.startswith("9 pictures, BasicUNet")
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", (tmp_path / "out/corruption.svg").read_text())[1])))
    assert torch.equal(cells(sheet, 28, 8)[:8], 255 - torch.from_numpy(pixels[:8]).float())


@pytest.mark.parametrize("args, said", [
    (["--network", "unet"], "basic"), (["--epoch", "3"], "--epoch"), (["--epochs"], "value"), (["--pictures", "0"], "at least 1"),
    (["--data", "/nowhere"], "/nowhere"), (["--output-dir", ""], "--output-dir"),
])
def test_wrong_arguments_are_named(tmp_path, args, said):
    for example in ("example_from_scratch", "example_annotated"):
        extra = args if args[0] != "--network" else ["--block", "basic"] if "annotated" in example else args
        done = run(example, "--output-dir", tmp_path / "x", *extra, check=False)
        assert done.returncode == 1 and (said in done.stderr or "resnet" in done.stderr), done.stderr


# --- annotated -------------------------------------------------------------------------------------------------------------

T = 10


def betas(schedule):
    line = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    if schedule == "linear":
        return line
    if schedule == "quadratic":
        return torch.linspace(1e-4**0.5, 0.02**0.5, T, dtype=torch.float64) ** 2
    if schedule == "sigmoid":
        return torch.sigmoid(torch.linspace(-6, 6, T, dtype=torch.float64)) * (0.02 - 1e-4) + 1e-4
    abar = torch.cos((torch.linspace(0, 1, T + 1, dtype=torch.float64) + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - abar[1:] / abar[:-1]).clip(1e-4, 0.9999)


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    """(schedule, loss, block) -> (what it printed, its folder) after 5 steps."""
    out = {}
    for schedule in ("linear", "cosine", "quadratic", "sigmoid"):
        for loss in ("l1", "l2", "huber"):
            for block in ("resnet", "convnext"):
                folder = tmp_path_factory.mktemp("annotated")
                out[schedule, loss, block] = train_annotated(folder, schedule, loss, block), folder
    return out


def train_annotated(folder, schedule, loss, block, *extra):
    return run("example_annotated", "--output-dir", folder, "--pictures", 20, "--batch-size", 4, "--epochs", 1, "--timesteps", T, "--samples", 2,
               "--schedule", schedule, "--loss", loss, "--block", block, *extra).stdout


def test_all_schedules_losses_and_blocks_train(posts):
    for (schedule, loss, block), (printed, folder) in posts.items():
        last = float(re.search(r"last loss (\S+)", printed)[1])
        assert math.isfinite(last) and 0 < last < 5, (schedule, loss, block)
        weights = load_file(folder / "network.safetensors")
        assert all(v.isfinite().all() for v in weights.values())
        assert sum(v.numel() for v in weights.values()) == {"resnet": 2_020_257, "convnext": 2_996_315}[block]
    trained = {b"".join(v.numpy().tobytes() for v in load_file(folder / "network.safetensors").values()) for _, folder in posts.values()}
    assert len(trained) == len(posts)  # each option does something


@pytest.mark.parametrize("schedule, block, self_condition", [("linear", "resnet", False), ("cosine", "convnext", False), ("quadratic", "resnet", False),
                                                             ("sigmoid", "convnext", False), ("linear", "resnet", True)])
@torch.no_grad()
def test_frames_are_those_of_algorithm_2(posts, tmp_path, schedule, block, self_condition):
    """DDPM's algorithm 2 in float64 with the trained weights and the same noise; none is added at the last step."""
    folder = tmp_path if self_condition else posts[schedule, "l2", block][1]
    if self_condition:
        train_annotated(folder, schedule, "l2", block, "--self-condition")
    net = Net({k: v.double() for k, v in load_file(folder / "network.safetensors").items()}, block, self_condition=self_condition)
    guess = torch.zeros(2, 1, 28, 28, dtype=torch.float64)
    g = torch.Generator().manual_seed(3)
    x = torch.randn(2, 1, 28, 28, generator=g).double()
    beta = betas(schedule)
    abar = (1 - beta).cumprod(0)
    gif = Image.open(folder / "reverse.gif")
    assert gif.n_frames == T and gif.info["loop"] == 0
    for i, t in enumerate(reversed(range(T))):
        eps = net(x, torch.full((2,), float(t)), guess) if self_condition else net(x, torch.full((2,), float(t)))
        guess = (x - (1 - abar[t]).sqrt() * eps) / abar[t].sqrt()
        x = (x - beta[t] / (1 - abar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()
        if t > 0:
            variance = beta[t] * (1 - abar[t - 1]) / (1 - abar[t])
            x = x + variance.sqrt() * torch.randn(2, 1, 28, 28, generator=g).double()
        expected = ((x[:, 0] / 2 + 0.5).clamp(0, 1) * 255).round()
        gif.seek(i)
        assert gif.info["duration"] == (50 if t > 0 else 1000)
        # float32 against float64, at the edge of rounding; cosine's last beta blows the first steps' differences up
        assert (cells(gif, 56, 2)[:, ::2, ::2] - expected).abs().max() <= 1, t
    assert (cells(Image.open(folder / "samples.png"), 28, 2) - expected).abs().max() <= 1


def test_grids_and_strips_have_their_names_and_sizes(tmp_path, pytestconfig):
    photo = pytestconfig.rootpath / "tests/data/cat.jpg"
    run("example_annotated", "--output-dir", tmp_path, "--pictures", 4, "--batch-size", 2, "--epochs", 2, "--timesteps", 4,
        "--samples", 17, "--photo", photo)
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == ["0000.png", "0001.png"]
    assert Image.open(tmp_path / "samples/0001.png").size == (122, 122)  # 4 x 4 of 28 pixels
    assert Image.open(tmp_path / "samples.png").size == (152, 122)  # 5 x 4
    assert Image.open(tmp_path / "noising.png").size == (6 * 130 + 2, 132)  # the photo and five timesteps
