"""OpenVINO and ONNX Runtime: one forward pass. The network is exported once into --cache. Prints one line of JSON.

    python bench/peers/inference.py cifar10 --engine openvino --precision bf16 --batch-size 16
"""
import argparse
import pathlib

import numpy as np

from clock import report, time_calls


def export(name, batch, path):
    """The network with random weights as ONNX of a fixed shape, and what PyTorch makes of a fixed input beside it."""
    import torch

    from networks import network, picture_shape

    class Prediction(torch.nn.Module):
        def __init__(self, unet):
            super().__init__()
            self.unet = unet

        def forward(self, x, t):
            return self.unet(x, t, return_dict=False)[0]

    torch.manual_seed(0)
    module = Prediction(network(name).eval())
    x, t = torch.randn(picture_shape(name, batch)), torch.full((batch,), 500)
    torch.onnx.export(module, (x, t), str(path), input_names=["x", "t"], output_names=["eps"], dynamo=True,
                      external_data=False)
    with torch.no_grad():
        np.savez(path.with_suffix(".npz"), x=x.numpy(), t=t.numpy(), eps=module(x, t).numpy())


def openvino_call(path, inputs, args):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if args.precision == "bf16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    if args.threads:
        settings["INFERENCE_NUM_THREADS"] = args.threads
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return f"OpenVINO {openvino.__version__.split('-')[0]}", lambda: request.infer(inputs)[0]


def onnxruntime_call(path, inputs, args):
    import onnxruntime

    if args.precision == "bf16":
        raise SystemExit("ONNX Runtime has no bfloat16 convolution on this processor")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return f"ONNX Runtime {onnxruntime.__version__}", lambda: session.run(None, inputs)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--engine", choices=["openvino", "onnxruntime"], default="openvino")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/bench"))
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()

    path = args.cache / f"{args.network}-{args.batch_size}.onnx"
    if not path.with_suffix(".npz").exists():
        args.cache.mkdir(parents=True, exist_ok=True)
        export(args.network, args.batch_size, path)
    if args.export_only:
        return
    saved = np.load(path.with_suffix(".npz"))
    inputs = {"x": saved["x"], "t": saved["t"]}
    make = openvino_call if args.engine == "openvino" else onnxruntime_call
    engine, call = make(path, inputs, args)
    error = float(np.abs(call() - saved["eps"]).max())
    report(engine=engine, threads=args.threads, max_error=error, **time_calls(call, 3, args.repeats))


if __name__ == "__main__":
    main()
