"""The networks of "The Annotated Diffusion Model" in PyTorch, written from their formulas: what test_annotated.py compares with.

`Net(weights, block, ...)` computes with a plain dictionary of tensors under the post's keys; there are no modules to disagree about.
"""
import math

import torch
import torch.nn.functional as F


def waves(t, dim):
    """sin and cos of t at dim/2 frequencies from 1 to 1/10000."""
    frequency = 10000 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2 - 1))
    angle = t.double()[:, None] * frequency.float().double()[None]
    return torch.cat([angle.sin(), angle.cos()], 1)


class Net:
    def __init__(self, weights, block="resnet", dim=28, dim_mults=(1, 2, 4), self_condition=False, groups=4):
        self.w, self.block, self.dim, self.levels = weights, block, dim, len(dim_mults)
        self.self_condition, self.groups, self.used = self_condition, groups, set()

    def get(self, key):
        self.used.add(key)
        return self.w[key]

    def has(self, key):
        return key + ".weight" in self.w

    # layers ----------------------------------------------------------------------------------------------------------------

    def linear(self, key, x):
        return F.linear(x, self.get(key + ".weight"), self.get(key + ".bias"))

    def conv(self, key, x, padding=0, stride=1, groups=1, bias=True):
        return F.conv2d(x, self.get(key + ".weight"), self.get(key + ".bias") if bias else None, stride, padding, 1, groups)

    def standardised_conv(self, key, x):
        w = self.get(key + ".weight")
        flat = w.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        w = (centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-5)).view_as(w)
        return F.conv2d(x, w, self.get(key + ".bias"), padding=1)

    def group_norm(self, key, x, groups):
        return F.group_norm(x, groups, self.get(key + ".weight"), self.get(key + ".bias"), 1e-5)

    def channel_norm(self, key, x):
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        scale, shift = (self.get(f"{key}.{name}")[None, :, None, None] for name in ("weight", "bias"))
        return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift

    def norm(self, key, x):
        return self.group_norm(key, x, 1) if self.block == "resnet" else self.channel_norm(key, x)

    # blocks ----------------------------------------------------------------------------------------------------------------

    def shortcut(self, key, x):
        return self.conv(key + ".res_conv", x) if self.has(key + ".res_conv") else x

    def resnet(self, key, x, temb):
        scale, shift = self.linear(key + ".mlp.1", F.silu(temb))[:, :, None, None].chunk(2, 1)
        h = self.group_norm(key + ".block1.norm", self.standardised_conv(key + ".block1.proj", x), self.groups)
        h = F.silu(h * (1 + scale) + shift)
        h = F.silu(self.group_norm(key + ".block2.norm", self.standardised_conv(key + ".block2.proj", h), self.groups))
        return h + self.shortcut(key, x)

    def convnext(self, key, x, temb):
        h = self.conv(key + ".ds_conv", x, padding=3, groups=x.shape[1])
        if self.has(key + ".mlp.1"):
            h = h + self.linear(key + ".mlp.1", F.gelu(temb))[:, :, None, None]
        h = F.gelu(self.conv(key + ".net.1", self.channel_norm(key + ".net.0", h), padding=1))
        h = self.conv(key + ".net.4", self.channel_norm(key + ".net.3", h), padding=1)
        return h + self.shortcut(key, x)

    def attention(self, key, x, linear):
        b, _, height, width = x.shape
        qkv = self.conv(key + ".fn.fn.to_qkv", self.norm(key + ".fn.norm", x), bias=False)
        q, k, v = qkv.view(b, 3, 4, 32, height * width).unbind(1)  # [B,heads,32,N] each
        if linear:
            q, k = q.softmax(2) / math.sqrt(32), k.softmax(3)
            mixed = torch.einsum("bhdn,bhed->bhen", q, torch.einsum("bhem,bhdm->bhed", v, k))
        else:
            weights = torch.einsum("bhdn,bhdm->bhnm", q / math.sqrt(32), k).softmax(-1)
            mixed = torch.einsum("bhnm,bhdm->bhdn", weights, v)
        out = key + ".fn.fn.to_out"
        y = self.conv(out + ".0" if linear else out, mixed.reshape(b, 128, height, width))
        return x + (self.group_norm(out + ".1", y, 1) if linear else y)

    # networks --------------------------------------------------------------------------------------------------------------

    def __call__(self, x, t, x_self_cond=None):
        if self.self_condition:
            x = torch.cat([torch.zeros_like(x) if x_self_cond is None else x_self_cond, x], 1)
        temb = waves(t, self.dim).to(x.dtype)
        temb = self.linear("time_mlp.3", F.gelu(self.linear("time_mlp.1", temb)))
        return self.with_resnets(x, temb) if self.block == "resnet" else self.with_convnexts(x, temb)

    def middle(self, h, temb):
        block = getattr(self, self.block)
        return block("mid_block2", self.attention("mid_attn", block("mid_block1", h, temb), linear=False), temb)

    def with_resnets(self, x, temb):
        first = h = self.conv("init_conv", x)
        kept = []
        for i in range(self.levels):
            h = self.resnet(f"downs.{i}.0", h, temb)
            kept.append(h)
            h = self.attention(f"downs.{i}.2", self.resnet(f"downs.{i}.1", h, temb), linear=True)
            kept.append(h)
            last = i + 1 == self.levels
            h = self.conv(f"downs.{i}.3", h, padding=1) if last else self.conv(f"downs.{i}.3.1", F.pixel_unshuffle(h, 2))
        h = self.middle(h, temb)
        for i in range(self.levels):
            h = self.resnet(f"ups.{i}.0", torch.cat([h, kept.pop()], 1), temb)
            h = self.attention(f"ups.{i}.2", self.resnet(f"ups.{i}.1", torch.cat([h, kept.pop()], 1), temb), linear=True)
            last = i + 1 == self.levels
            key = f"ups.{i}.3" if last else f"ups.{i}.3.1"
            h = self.conv(key, h if last else h.repeat_interleave(2, 2).repeat_interleave(2, 3), padding=1)
        return self.conv("final_conv", self.resnet("final_res_block", torch.cat([h, first], 1), temb))

    def with_convnexts(self, x, temb):
        h = self.conv("init_conv", x, padding=3)
        kept = []
        for i in range(self.levels):
            h = self.convnext(f"downs.{i}.1", self.convnext(f"downs.{i}.0", h, temb), temb)
            h = self.attention(f"downs.{i}.2", h, linear=True)
            kept.append(h)
            if i + 1 < self.levels:
                h = self.conv(f"downs.{i}.3", h, padding=1, stride=2)
        h = self.middle(h, temb)
        for i in range(self.levels - 1):
            h = self.convnext(f"ups.{i}.0", torch.cat([h, kept.pop()], 1), temb)
            h = self.attention(f"ups.{i}.2", self.convnext(f"ups.{i}.1", h, temb), linear=True)
            key = f"ups.{i}.3"
            h = F.conv_transpose2d(h, self.get(key + ".weight"), self.get(key + ".bias"), stride=2, padding=1)
        return self.conv("final_conv.1", self.convnext("final_conv.0", h, None))
