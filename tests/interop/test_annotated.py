"""The networks of "The Annotated Diffusion Model" against PyTorch: outputs, gradients and first weights."""
import json

import pytest
import torch
from annotated_reference import Net
from conftest import relative_error, run
from safetensors.torch import load_file, save_file

CASES = {
    "resnet, the post's": dict(block="resnet", dim=28, dim_mults=[1, 2, 4], channels=1),
    "convnext, the post's": dict(block="convnext", dim=28, dim_mults=[1, 2, 4], channels=1),
    "resnet, one level": dict(block="resnet", dim=8, dim_mults=[1], channels=2),
    "convnext, one level": dict(block="convnext", dim=8, dim_mults=[1], channels=2),
    "resnet, self-conditioned": dict(block="resnet", dim=16, dim_mults=[1, 3], channels=3, self_condition=True),
    "convnext, self-conditioned": dict(block="convnext", dim=16, dim_mults=[1, 3], channels=3, self_condition=True),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """name -> (inputs, what the driver wrote), from one run."""
    tmp = tmp_path_factory.mktemp("annotated")
    requests, inputs = [], {}
    for i, (name, case) in enumerate(CASES.items()):
        g = torch.Generator().manual_seed(i)
        draw = lambda: torch.randn(2, case["channels"], 8, 16, generator=g)
        inputs[name] = {"x": draw(), "target": draw(), "t": torch.tensor([0.0, 137.5])}
        if case.get("self_condition"):
            inputs[name]["x_self_cond"] = draw()
        save_file(inputs[name], tmp / f"{i}.in")
        requests.append(dict(case, seed=3, inputs=str(tmp / f"{i}.in"), output=str(tmp / f"{i}.out")))
    (tmp / "request.json").write_text(json.dumps(requests))
    run("annotated_driver", tmp / "request.json")
    return {name: (inputs[name], load_file(tmp / f"{i}.out")) for i, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_the_formulas(runs, name):
    inputs, ours = runs[name]
    weights = {k.removeprefix("weight."): v.double().requires_grad_() for k, v in ours.items() if k.startswith("weight.")}
    case = {k: v for k, v in CASES[name].items() if k != "channels"}
    net = Net(weights, **case)
    cond = inputs.get("x_self_cond")
    y = net(inputs["x"].double(), inputs["t"], None if cond is None else cond.double())
    assert net.used == weights.keys()  # no weight that the formulas do not know
    assert relative_error(ours["output"], y) < 1e-4  # float32 against float64 through 20 convolutions and norms
    torch.nn.functional.mse_loss(y, inputs["target"].double()).backward()
    # The bias before a norm has a gradient of zero but for rounding: measured against the largest of the others.
    floor = 1e-2 * max(w.grad.abs().max() for w in weights.values())
    for key, w in weights.items():
        error = (ours["gradient." + key] - w.grad).abs().max() / w.grad.abs().max().clamp_min(floor)
        assert error < 1e-3, key  # float32, through the whole network and back


def test_first_weights_are_torchs(runs):
    """A convolution, a depthwise, a transposed one and a linear layer draw what torch.nn's draw."""
    _, ours = runs["convnext, one level"]
    torch.manual_seed(3)
    first = torch.nn.Conv2d(2, 8 // 3 * 2, 7)
    time1, time3 = torch.nn.Linear(8, 32), torch.nn.Linear(32, 32)
    mlp, depthwise = torch.nn.Linear(32, 4), torch.nn.Conv2d(4, 4, 7, groups=4)
    for key, layer in {"init_conv": first, "time_mlp.1": time1, "time_mlp.3": time3, "downs.0.0.mlp.1": mlp,
                       "downs.0.0.ds_conv": depthwise}.items():
        assert torch.equal(ours[f"weight.{key}.weight"], layer.weight), key
        assert torch.equal(ours[f"weight.{key}.bias"], layer.bias), key
