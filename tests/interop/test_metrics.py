"""The metrics beside numpy and scipy, and the Inception network beside a reference in PyTorch with the same weights."""
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from safetensors.torch import load_file, save_file

from conftest import relative_error
from inception_reference import random_inception


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
    return random_inception()


def test_the_reference_is_as_large_as_the_published_network(inception):
    """torchvision states 27,161,264 parameters for its port; without the auxiliary classifier's 3,326,696, and with 1008 classes for 1000, it is the FID's."""
    state = inception.state_dict()
    assert sum(value.numel() for value in inception.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    assert sum(name.endswith(".conv.weight") for name in state) == 94
    assert {"Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch5x5_2.bn.running_var", "Mixed_6e.branch7x7dbl_5.conv.weight",
            "Mixed_7c.branch3x3dbl_3b.bn.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight"} <= state.keys()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_inception_gives_the_references_features(inception, driver, tmp_path, suffix):
    path = tmp_path / f"inception.{suffix}"
    if suffix == "pth":
        torch.save(inception.state_dict(), path)
    else:
        save_file(inception.state_dict(), path)
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = inception(images)
    ours = features(driver, tmp_path, path, images)
    assert ours.shape == (2, 2048)
    assert relative_error(ours, expected) < 1e-4  # float32 through 48 layers, with the norms folded in here
    assert expected.std(0).mean() > 0.01 * expected.abs().mean()  # the pictures do differ in the end


def test_inception_of_torchvision_is_refused(inception, driver, tmp_path):
    """Its blocks have other sizes, and its weights are others: a distance by them would not be the FID."""
    state = inception.state_dict()
    state["Mixed_5b.branch_pool.conv.weight"] = torch.zeros(64, 192, 1, 1)
    save_file(state, tmp_path / "other.safetensors")
    save_file({"images": torch.zeros(1, 3, 8, 8)}, tmp_path / "images.safetensors")
    done = driver("metrics_driver", {"features": str(tmp_path / "other.safetensors"), "images": str(tmp_path / "images.safetensors"), "out": "x"}, check=False)
    assert done.returncode == 3 and "Mixed_5b.branch_pool.conv.weight" in done.stderr and "[32,192,1,1]" in done.stderr
