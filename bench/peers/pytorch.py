"""diffusers on PyTorch: a training step, a forward pass or a picture by DDIM. Prints one line of JSON.

    python bench/peers/pytorch.py train cifar10 --batch-size 16 --precision bf16 --compiled
"""
import argparse

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch.nn.functional import mse_loss

from clock import report, time_calls
from networks import TRAINING_BATCH, network, picture_shape


def training_step(unet, call, batch, args):
    """The step of train_unconditional.py without its data loader."""
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, fused=args.fused)
    noise_schedule = DDPMScheduler()
    x0 = torch.randn(picture_shape(args.network, batch)).clamp(-1, 1)

    def step():
        eps = torch.randn_like(x0)
        t = torch.randint(0, 1000, (batch,))
        xt = noise_schedule.add_noise(x0, eps, t)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            eps_hat = call(xt, t, return_dict=False)[0]
        loss = mse_loss(eps_hat.float(), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def forward_pass(call, batch, args):
    x, t = torch.randn(picture_shape(args.network, batch)), torch.tensor(500)

    def forward():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            call(x, t, return_dict=False)

    return forward


def ddim_run(call, batch, args):
    scheduler = DDIMScheduler()

    def run():
        scheduler.set_timesteps(args.steps)
        x = torch.randn(picture_shape(args.network, batch))
        with torch.no_grad():
            for t in scheduler.timesteps:
                x = scheduler.step(call(x, t, return_dict=False)[0], t, x).prev_sample

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "forward", "sample"])
    parser.add_argument("network")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--fused", action="store_true", help="AdamW in one kernel")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    unet = network(args.network)
    unet.train(args.what == "train")
    call = torch.compile(unet, dynamic=False) if args.compiled else unet
    batch = args.batch_size or (TRAINING_BATCH[args.network] if args.what == "train" else 1)
    if args.what == "train":
        times = time_calls(training_step(unet, call, batch, args), 2, args.repeats)
    elif args.what == "forward":
        times = time_calls(forward_pass(call, batch, args), 3, args.repeats)
    else:
        times = time_calls(ddim_run(call, batch, args), 1, args.repeats)
    report(engine=f"PyTorch {torch.__version__}", threads=torch.get_num_threads(), **times)


if __name__ == "__main__":
    main()
