"""Files both ways between the built reader and writer and the real safetensors, torch and diffusers."""
import collections
import json
import math
import os
import random
import struct
import zipfile

import pytest
import safetensors.torch
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from huggingface_hub import ModelCard

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64, torch.complex64,
]


@pytest.fixture
def formats(driver):
    return lambda **request: driver("formats_driver", {key: str(v) if isinstance(v, os.PathLike) else v for key, v in request.items()})


@pytest.fixture
def refusal(driver):
    """What the driver says when it must refuse a file."""

    def call(**request):
        done = driver("formats_driver", {key: str(v) for key, v in request.items()}, check=False)
        assert done.returncode == 3, done.stderr
        return done.stderr

    return call


def every_dtype():
    generator = torch.Generator().manual_seed(0)
    tensors = {f"{dtype}".split(".")[1]: (torch.randn(3, 5, generator=generator) * 10).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "é \"quoted\"\n\x1f\x7f": torch.ones(2), "Z": torch.ones(1), "a": torch.ones(1)}
    return tensors


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype and ours[name].shape == tensor.shape, name
        assert torch.equal(ours[name].contiguous().view(-1).view(torch.uint8), tensor.contiguous().view(-1).view(torch.uint8)), name


def test_safetensors_bytes_equal_for_every_dtype(formats, tmp_path):
    safetensors.torch.save_file(every_dtype(), tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    formats(do="convert", **{"from": tmp_path / "theirs.safetensors"}, to=tmp_path / "ours.safetensors")
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()
    same(safetensors.torch.load_file(tmp_path / "ours.safetensors"), every_dtype())


def test_safetensors_bytes_equal_without_tensors(formats, tmp_path):
    safetensors.torch.save_file({}, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    formats(do="convert", **{"from": tmp_path / "theirs.safetensors"}, to=tmp_path / "ours.safetensors")
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


def views_and_parameters():
    base = torch.arange(24.0)
    return collections.OrderedDict(
        transposed=base.view(4, 6).t(),
        strided=base.view(4, 6)[1:, ::2],
        shared=base[3:9],
        expanded=torch.tensor([[1.0], [2.0]]).expand(2, 3),
        parameter=torch.nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(0))),
        scalar=torch.tensor(7),
        empty=torch.zeros(0, 3),
        **{f"{dtype}".split(".")[1]: torch.arange(6).to(dtype) for dtype in DTYPES},
    )


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])
def test_torch_save_keeps_values_strides_and_sharing(formats, tmp_path, as_zip):
    theirs = views_and_parameters()
    torch.save(theirs, tmp_path / "x.bin", _use_new_zipfile_serialization=as_zip)
    done = formats(do="convert", **{"from": tmp_path / "x.bin"}, to=tmp_path / "ours.safetensors")
    same(safetensors.torch.load_file(tmp_path / "ours.safetensors"), {k: v.detach() for k, v in theirs.items()})
    layout = json.loads(done.stdout)
    for name, tensor in theirs.items():
        assert layout[name]["strides"] == list(tensor.stride()), name
        assert layout[name]["offset"] == tensor.storage_offset(), name
    assert len({layout[name]["storage"] for name in ("transposed", "strided", "shared")}) == 1


def test_state_dict_of_a_module_and_a_wrapped_one(formats, tmp_path):
    state = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).state_dict()
    for name, saved in {"plain": state, "wrapped": {"epoch": 3, "state_dict": state, "note": "x"}, "dict": dict(state)}.items():
        torch.save(saved, tmp_path / f"{name}.pt")
        formats(do="convert", **{"from": tmp_path / f"{name}.pt"}, to=tmp_path / f"{name}.safetensors")
        same(safetensors.torch.load_file(tmp_path / f"{name}.safetensors"), state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(formats, tmp_path, protocol):
    torch.save(views_and_parameters(), tmp_path / "x.bin", pickle_protocol=protocol)
    formats(do="convert", **{"from": tmp_path / "x.bin"}, to=tmp_path / "ours.safetensors")
    same(safetensors.torch.load_file(tmp_path / "ours.safetensors"), {k: v.detach() for k, v in views_and_parameters().items()})


def rewrite_zip(source, target, change, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for item in old.infolist():
            new.writestr(item.filename, change(item.filename, old.read(item)))


def test_deflated_and_big_endian_containers(formats, tmp_path):
    state = {"a": torch.randn(5, 7), "h": torch.randn(3).half(), "i": torch.arange(4)}
    torch.save(state, tmp_path / "x.bin")
    sizes = {"0": 4, "1": 2, "2": 8}

    def big(name, data):
        if name.endswith("byteorder"):
            return b"big"
        if "/data/" in name and name.rsplit("/", 1)[1] in sizes:
            n = sizes[name.rsplit("/", 1)[1]]
            return b"".join(data[i : i + n][::-1] for i in range(0, len(data), n))
        return data

    rewrite_zip(tmp_path / "x.bin", tmp_path / "deflated.bin", lambda _, data: data, zipfile.ZIP_DEFLATED)
    rewrite_zip(tmp_path / "x.bin", tmp_path / "big.bin", big)
    same(torch.load(tmp_path / "big.bin"), state)  # torch agrees on what such a file means
    for name in ("deflated", "big"):
        formats(do="convert", **{"from": tmp_path / f"{name}.bin"}, to=tmp_path / "ours.safetensors")
        same(safetensors.torch.load_file(tmp_path / "ours.safetensors"), state)


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])
def test_malicious_pickle_is_refused_by_name(refusal, tmp_path, as_zip):
    marker = tmp_path / "it-ran"
    torch.save({"w": torch.ones(2), "x": Malicious(marker)}, tmp_path / "x.bin", _use_new_zipfile_serialization=as_zip)
    message = refusal(do="convert", **{"from": tmp_path / "x.bin"}, to=tmp_path / "out.safetensors")
    assert '"posix.system"' in message and "x.bin" in message and "safetensors" in message
    assert not marker.exists() and not (tmp_path / "out.safetensors").exists()


def test_whole_module_and_torchscript_are_refused_with_a_reason(refusal, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert '"torch.nn.modules.linear.Linear"' in refusal(do="convert", **{"from": tmp_path / "module.pt"}, to=tmp_path / "o.safetensors")
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "script.pt")
    assert "TorchScript" in refusal(do="convert", **{"from": tmp_path / "script.pt"}, to=tmp_path / "o.safetensors")


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        attention_head_dim=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )


def flat_root(unet, folder):
    unet.save_pretrained(folder)


def with_old_attention_names(unet, folder):
    """As a file from before diffusers 0.15, with 1x1 convolutions for two of the linear layers."""
    unet.save_pretrained(folder / "unet")
    old = {}
    for name, tensor in unet.state_dict().items():
        for new_name, old_name in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
            if f".{new_name}." in name:
                name = name.replace(f".{new_name}.", f".{old_name}.")
                if old_name in ("query", "proj_attn") and name.endswith(".weight"):
                    tensor = tensor[:, :, None, None]
                break
        old[name] = tensor.contiguous()
    assert old.keys() != unet.state_dict().keys()
    safetensors.torch.save_file(old, folder / "unet" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


ENCODINGS = {
    "subfolder": lambda unet, folder: unet.save_pretrained(folder / "unet"),
    "flat root": flat_root,
    "bin": lambda unet, folder: unet.save_pretrained(folder / "unet", safe_serialization=False),
    "sharded": lambda unet, folder: unet.save_pretrained(folder / "unet", max_shard_size="10KB"),
    "sharded bin": lambda unet, folder: unet.save_pretrained(folder / "unet", max_shard_size="10KB", safe_serialization=False),
    "fp16 variant": lambda unet, folder: unet.save_pretrained(folder / "unet", variant="fp16"),
    "sharded fp16 variant": lambda unet, folder: unet.save_pretrained(folder / "unet", variant="fp16", max_shard_size="10KB"),
    "old attention names": with_old_attention_names,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_unet_in_every_encoding(formats, tmp_path, unet, encoding):
    ENCODINGS[encoding](unet, tmp_path / "model")
    formats(do="weights", model=tmp_path / "model", component="unet", to=tmp_path / "ours.safetensors")
    same(safetensors.torch.load_file(tmp_path / "ours.safetensors"), unet.state_dict())


def test_asked_variant_is_taken_and_a_missing_one_explained(formats, refusal, tmp_path, unet):
    unet.save_pretrained(tmp_path / "model" / "unet")
    assert "Leave the variant out" in refusal(do="weights", model=tmp_path / "model", component="unet", variant="fp16", to=tmp_path / "o.safetensors")
    half = {name: tensor.half() for name, tensor in unet.state_dict().items()}
    safetensors.torch.save_file(half, tmp_path / "model" / "unet" / "diffusion_pytorch_model.fp16.safetensors", metadata={"format": "pt"})
    formats(do="weights", model=tmp_path / "model", component="unet", variant="fp16", to=tmp_path / "o.safetensors")
    same(safetensors.torch.load_file(tmp_path / "o.safetensors"), half)


@pytest.mark.parametrize("limit", [10**10, 10_000, 3_000])
def test_saved_component_is_byte_equal_to_diffusers(formats, tmp_path, unet, limit):
    """Same file names, same bytes: config, weights or shards, index."""
    unet.save_pretrained(tmp_path / "theirs", max_shard_size=limit)
    # In the order of the module's state dict, which decides the shards: a .bin keeps it.
    unet.save_pretrained(tmp_path / "source" / "unet", safe_serialization=False)
    formats(do="component", model=tmp_path / "source", component="unet", to=tmp_path / "ours", max_shard_bytes=limit)
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    ours = {path.name: path.read_bytes() for path in (tmp_path / "ours").iterdir()}
    assert sorted(ours) == sorted(theirs)
    for name in theirs:
        if name == "config.json":  # diffusers notes where it loaded from, if anywhere
            assert json.loads(ours[name]) == json.loads(theirs[name])
        assert ours[name] == theirs[name], name
    same(UNet2DModel.from_pretrained(tmp_path / "ours").state_dict(), unet.state_dict())


def test_configs_survive_byte_for_byte(formats, tmp_path, unet):
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, clip_sample_range=1e-05, trained_betas=[1e-4, 0.02, 0.3333333333333333])
    scheduler.register_to_config(unknown_to_us="kept é", lambda_min_clipped=-float("inf"), nested=[1, [], {}, None, True, 1e16, 1e22, 5e-324])
    DDPMPipeline(unet, scheduler).save_pretrained(tmp_path / "pipe")
    for component, name in (("unet", "config.json"), ("scheduler", "scheduler_config.json"), ("", "model_index.json")):
        formats(do="config", model=tmp_path / "pipe", component=component, name=name, to=tmp_path / "out" / (component or "."))
        assert (tmp_path / "out" / component / name).read_bytes() == (tmp_path / "pipe" / component / name).read_bytes()


def test_numbers_are_written_as_python_writes_them(formats, tmp_path):
    draw = random.Random(0)
    numbers = [draw.random() for _ in range(5000)] + [draw.uniform(1e14, 1e18) for _ in range(1000)]
    numbers += [x for x in (struct.unpack("d", draw.randbytes(8))[0] for _ in range(5000)) if math.isfinite(x)]
    numbers += [float(10**k) for k in range(25)] + [10.0**-k for k in range(25)] + [0.0, -0.0, math.inf, -math.inf, 2**63, -(2**63)]
    theirs = json.dumps({"texts": ["\u0001NaN", "é😀\x7f\n/"], "numbers": numbers}, indent=2, sort_keys=True) + "\n"
    (tmp_path / "config.json").write_text(theirs)
    formats(do="config", model=tmp_path, component="", name="config.json", to=tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_text() == theirs


def test_model_card_is_read_by_the_hub_library(formats, tmp_path):
    done = formats(do="card", to=tmp_path / "m", title="Garments: 28 px", license="apache-2.0")
    card = ModelCard.load(tmp_path / "m" / "README.md", ignore_metadata_errors=False)
    assert done.stdout.strip() == card.data.license == "apache-2.0"
    assert card.data.library_name == "diffusers" and "unconditional-image-generation" in card.data.tags
    assert "# Garments: 28 px" in card.text
