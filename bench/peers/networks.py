"""The networks of the benchmark as diffusers builds them: the same as `unnoise train`'s presets, by the same names."""
from diffusers import UNet2DModel

DOWN, DOWN_ATTENTION, UP, UP_ATTENTION = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"

SETTINGS = {
    # course unit 1, notebook 1
    "butterflies": dict(
        sample_size=32, in_channels=3, out_channels=3, block_out_channels=(64, 128, 128, 256),
        down_block_types=(DOWN, DOWN, DOWN_ATTENTION, DOWN_ATTENTION), up_block_types=(UP_ATTENTION, UP_ATTENTION, UP, UP)),
    # course unit 1, notebook 2
    "mnist": dict(
        sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 64),
        down_block_types=(DOWN, DOWN_ATTENTION, DOWN_ATTENTION), up_block_types=(UP_ATTENTION, UP_ATTENTION, UP)),
    # google/ddpm-cifar10-32
    "cifar10": dict(
        sample_size=32, in_channels=3, out_channels=3, block_out_channels=(128, 256, 256, 256),
        down_block_types=(DOWN, DOWN_ATTENTION, DOWN, DOWN), up_block_types=(UP, UP, UP_ATTENTION, UP),
        attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6),
    # the default of train_unconditional.py
    "script": dict(
        sample_size=64, in_channels=3, out_channels=3, block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(DOWN, DOWN, DOWN, DOWN, DOWN_ATTENTION, DOWN), up_block_types=(UP, UP_ATTENTION, UP, UP, UP, UP)),
}
TRAINING_BATCH = {"butterflies": 64, "mnist": 128, "cifar10": 16, "script": 16}


def network(name):
    return UNet2DModel(layers_per_block=2, **SETTINGS[name])


def picture_shape(name, batch):
    settings = SETTINGS[name]
    return batch, settings["in_channels"], settings["sample_size"], settings["sample_size"]
