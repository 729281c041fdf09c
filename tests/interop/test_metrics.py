"""The metrics beside numpy and scipy, and the Inception network beside pytorch-fid's, layer for layer with the same weights."""
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from safetensors.torch import load_file, save_file

from conftest import relative_error


@pytest.fixture(scope="module")
def sets():
    """Two sets of features that overlap in part, as real ones do: correlated, skewed, shifted."""
    rng = torch.Generator().manual_seed(3)
    mix = torch.randn(12, 12, generator=rng, dtype=torch.float64)
    x = torch.randn(300, 12, generator=rng, dtype=torch.float64).relu() @ mix
    y = torch.randn(300, 12, generator=rng, dtype=torch.float64).relu() @ mix * 1.1 + 0.3
    return {"x": x, "y": y}


@pytest.fixture
def measured(sets, driver, tmp_path):
    save_file(sets, tmp_path / "sets.safetensors")
    driver("metrics_driver", {"sets": str(tmp_path / "sets.safetensors"), "out": str(tmp_path / "out.safetensors")})
    return {name: value.numpy() for name, value in load_file(tmp_path / "out.safetensors").items()}


def distances(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def test_frechet_distance_is_scipys(sets, measured):
    x, y = sets["x"].numpy(), sets["y"].numpy()
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cx @ cy).real  # as every FID script has it
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * root)
    assert measured["frechet"][0] == pytest.approx(expected, rel=1e-9)


def test_mmd_is_gretton_s_sum(sets, measured):
    x, y = sets["x"].numpy(), sets["y"].numpy()
    n, d = x.shape
    off = ~np.eye(n, dtype=bool)

    def mmd2(k):
        return (k(x, x)[off].sum() + k(y, y)[off].sum() - 2 * k(x, y)[off].sum()) / (n * (n - 1))

    assert measured["mmd_polynomial"][0] == pytest.approx(mmd2(lambda a, b: (a @ b.T / d + 1) ** 3), rel=1e-9)
    both = np.concatenate([x, y])
    pairs = np.sort(distances(both, both)[np.triu_indices(2 * n, 1)])
    bandwidth = pairs[(len(pairs) - 1) // 2]
    assert measured["bandwidth"][0] == pytest.approx(bandwidth, rel=1e-9)
    assert measured["mmd_rbf"][0] == pytest.approx(mmd2(lambda a, b: np.exp(-distances(a, b) ** 2 / (2 * bandwidth**2))), rel=1e-7)


def test_precision_recall_density_coverage_are_their_definitions(sets, measured):
    x, y = sets["x"].numpy(), sets["y"].numpy()
    xx, yy, xy = distances(x, x), distances(y, y), distances(x, y)
    x3, y3, x5 = np.sort(xx, 1)[:, 3], np.sort(yy, 1)[:, 3], np.sort(xx, 1)[:, 5]
    assert (measured["in_real"] == (xy <= x3[:, None]).any(0)).all()
    assert (measured["in_generated"] == (xy <= y3[None]).any(1)).all()
    inside = xy <= x5[:, None]
    assert measured["balls"] == pytest.approx(inside.sum(0) / 5)
    assert (measured["reached"] == inside.any(1)).all()
    assert 0.05 < measured["in_real"].mean() < 1  # the sets do test something


def test_sliced_wasserstein_is_scipys_along_each_direction(measured):
    per_direction = [((np.sort(a) - np.sort(b)) ** 2).mean() for a, b in zip(measured["slices_x"], measured["slices_y"])]
    assert measured["swd"][0] == pytest.approx(np.sqrt(np.mean(per_direction)), rel=1e-9)
    for a, b, squared in zip(measured["slices_x"], measured["slices_y"], per_direction):
        assert scipy.stats.wasserstein_distance(a, b) <= np.sqrt(squared) * (1 + 1e-12)  # W1 <= W2


def test_neighbours_and_copy_scores(sets, measured):
    all_distances = distances(sets["y"].numpy(), sets["x"].numpy())
    nearest = np.sort(all_distances, 1)[:, :50]
    assert measured["distances"] == pytest.approx(nearest, rel=1e-9)
    assert (measured["indices"] == np.argsort(all_distances, 1)[:, :50]).all()
    assert measured["copy_scores"] == pytest.approx(nearest[:, 0] / nearest.mean(1), rel=1e-9)


def features(driver, tmp_path, network, images):
    save_file({"images": images}, tmp_path / "images.safetensors")
    driver("metrics_driver", {"features": str(network), "images": str(tmp_path / "images.safetensors"), "out": str(tmp_path / "features.safetensors")})
    return load_file(tmp_path / "features.safetensors")["features"]


@pytest.fixture(scope="module")
def inception():
    """pytorch-fid's network with random weights, and norms that are not the identity."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # a build of torchvision for another torch lacks its compiled operators, which are not needed here
        global library
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except ImportError:
        pass
    module = pytest.importorskip("pytorch_fid.inception")
    torch.manual_seed(0)
    made = module._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    made.Mixed_5b = module.FIDInceptionA(192, pool_features=32)
    made.Mixed_5c = module.FIDInceptionA(256, pool_features=64)
    made.Mixed_5d = module.FIDInceptionA(288, pool_features=64)
    for name, middle in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(made, f"Mixed_{name}", module.FIDInceptionC(768, channels_7x7=middle))
    made.Mixed_7b, made.Mixed_7c = module.FIDInceptionE_1(1280), module.FIDInceptionE_2(2048)
    for part in made.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)  # so that the signal reaches the last layer
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1), part.running_var.uniform_(0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.1), torch.nn.init.uniform_(part.weight, 0.8, 1.2)
    module.fid_inception_v3 = lambda: made
    return made, module.InceptionV3([3], resize_input=True, normalize_input=True).eval()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_inception_gives_pytorch_fids_features(inception, driver, tmp_path, suffix):
    made, reference = inception
    path = tmp_path / f"inception.{suffix}"
    if suffix == "pth":
        torch.save(made.state_dict(), path)
    else:
        save_file(made.state_dict(), path)
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = reference((images + 1) / 2)[0].flatten(1)
    ours = features(driver, tmp_path, path, images)
    assert ours.shape == (2, 2048)
    assert relative_error(ours, expected) < 1e-4  # float32 through 48 layers, with the norms folded in here


def test_inception_of_torchvision_is_refused(inception, driver, tmp_path):
    """Its blocks have other sizes, and its weights are others: a distance by them would not be the FID."""
    state = inception[0].state_dict()
    state["Mixed_5b.branch_pool.conv.weight"] = torch.zeros(64, 192, 1, 1)
    save_file(state, tmp_path / "other.safetensors")
    save_file({"images": torch.zeros(1, 3, 8, 8)}, tmp_path / "images.safetensors")
    done = driver("metrics_driver", {"features": str(tmp_path / "other.safetensors"), "images": str(tmp_path / "images.safetensors"), "out": "x"}, check=False)
    assert done.returncode == 3 and "Mixed_5b.branch_pool.conv.weight" in done.stderr and "[32,192,1,1]" in done.stderr
