"""What a user of diffusers runs for one picture: load the folder, draw, write a PNG. Timed from outside, start included.

    python bench/peers/cold.py MODEL_DIR STEPS FILE.png
    python bench/peers/cold.py --make NETWORK MODEL_DIR      (a model with random weights for it)
"""
import sys


def draw(model_dir, steps, file):
    from diffusers import DDIMPipeline

    pipe = DDIMPipeline.from_pretrained(model_dir)
    pipe.set_progress_bar_config(disable=True)
    pipe(num_inference_steps=steps).images[0].save(file)


def make(name, model_dir):
    import torch
    from diffusers import DDIMPipeline, DDIMScheduler

    from networks import network

    torch.manual_seed(0)
    DDIMPipeline(unet=network(name), scheduler=DDIMScheduler()).save_pretrained(model_dir)


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(*sys.argv[2:4])
    else:
        draw(sys.argv[1], int(sys.argv[2]), sys.argv[3])
