"""The Inception network of the FID in plain PyTorch: Szegedy et al. 2016, "Rethinking the Inception Architecture", figures 4 to 7, 10 and table 1, as the
graph of 2015-12-05 has it: averages over 3x3 leave the padding out, and the last block takes a maximum instead. Parameters are named as in the weights file
that FID programs share, so that a state dict of this module stands for that file."""
import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    """Convolution without bias, batch norm, ReLU; padded to keep the size unless it strides or is told not to."""

    def __init__(self, into, out, kernel, stride=1, valid=False):
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (0, 0) if valid or stride > 1 else (height // 2, width // 2)
        self.conv = nn.Conv2d(into, out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class Block(nn.Module):
    """Branches side by side. A branch is a chain of layers; a tuple at its end is a fork, both of whose ends are kept. `pooled` is the last branch: a pooling,
    then the layers named branch_pool, if any."""

    def __init__(self, branches, pool, pooled=None):
        super().__init__()
        self.chains, self.pool = [], pool
        for chain in branches:
            names = []
            for step in chain:
                forks = step if isinstance(step, list) else [step]
                for name, layer in forks:
                    self.add_module(name, layer)
                names.append([name for name, _ in forks])
            self.chains.append(names)
        if pooled:
            self.branch_pool = pooled

    def forward(self, x):
        out = []
        for chain in self.chains:
            ends = [x]
            for names in chain:
                [h] = ends
                ends = [getattr(self, name)(h) for name in names]
            out += ends
        pooled = self.pool(x)
        return torch.cat([*out, self.branch_pool(pooled) if hasattr(self, "branch_pool") else pooled], 1)


def block_a(into, pool):  # figure 5: two 3x3 for a 5x5
    return Block([[("branch1x1", Layer(into, 64, 1))],
                  [("branch5x5_1", Layer(into, 48, 1)), ("branch5x5_2", Layer(48, 64, 5))],
                  [("branch3x3dbl_1", Layer(into, 64, 1)), ("branch3x3dbl_2", Layer(64, 96, 3)), ("branch3x3dbl_3", Layer(96, 96, 3))]],
                 average, Layer(into, pool, 1))


def halved(x):
    return F.max_pool2d(x, 3, 2)


def block_b():  # figure 10: 35x35 to 17x17
    return Block([[("branch3x3", Layer(288, 384, 3, 2))],
                  [("branch3x3dbl_1", Layer(288, 64, 1)), ("branch3x3dbl_2", Layer(64, 96, 3)), ("branch3x3dbl_3", Layer(96, 96, 3, 2))]], halved)


def block_c(middle):  # figure 6 with n = 7
    return Block([[("branch1x1", Layer(768, 192, 1))],
                  [("branch7x7_1", Layer(768, middle, 1)), ("branch7x7_2", Layer(middle, middle, (1, 7))), ("branch7x7_3", Layer(middle, 192, (7, 1)))],
                  [("branch7x7dbl_1", Layer(768, middle, 1)), ("branch7x7dbl_2", Layer(middle, middle, (7, 1))), ("branch7x7dbl_3", Layer(middle, middle, (1, 7))),
                   ("branch7x7dbl_4", Layer(middle, middle, (7, 1))), ("branch7x7dbl_5", Layer(middle, 192, (1, 7)))]],
                 average, Layer(768, 192, 1))


def block_d():  # figure 10 again: 17x17 to 8x8
    return Block([[("branch3x3_1", Layer(768, 192, 1)), ("branch3x3_2", Layer(192, 320, 3, 2))],
                  [("branch7x7x3_1", Layer(768, 192, 1)), ("branch7x7x3_2", Layer(192, 192, (1, 7))), ("branch7x7x3_3", Layer(192, 192, (7, 1))),
                   ("branch7x7x3_4", Layer(192, 192, 3, 2))]], halved)


def block_e(into, pool):  # figure 7: forks at the ends
    def fork(name, channels):
        return [(f"{name}a", Layer(channels, 384, (1, 3))), (f"{name}b", Layer(channels, 384, (3, 1)))]
    return Block([[("branch1x1", Layer(into, 320, 1))],
                  [("branch3x3_1", Layer(into, 384, 1)), fork("branch3x3_2", 384)],
                  [("branch3x3dbl_1", Layer(into, 448, 1)), ("branch3x3dbl_2", Layer(448, 384, 3)), fork("branch3x3dbl_3", 384)]],
                 pool, Layer(into, 192, 1))


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Layer(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Layer(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = Layer(32, 64, 3)
        self.Conv2d_3b_1x1 = Layer(64, 80, 1)
        self.Conv2d_4a_3x3 = Layer(80, 192, 3, valid=True)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        self.Mixed_6a = block_b()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = block_c(128), block_c(160), block_c(160), block_c(192)
        self.Mixed_7a = block_d()
        self.Mixed_7b = block_e(1280, average)
        self.Mixed_7c = block_e(2048, lambda x: F.max_pool2d(x, 3, 1, 1))
        self.fc = nn.Linear(2048, 1008)  # in the file, and not used for features

    def forward(self, x):
        """x [B,3,H,W] in [-1,1] -> [B,2048]"""
        h = F.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
        h = halved(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(h))))
        h = halved(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(h)))
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            h = getattr(self, f"Mixed_{name}")(h)
        return h.mean((2, 3))


def random_inception(seed=0):
    """Random weights through which the signal reaches the last layer, and norms that are not the identity."""
    torch.manual_seed(seed)
    network = Inception()
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.1), nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1), nn.init.uniform_(part.weight, 0.8, 1.2)
    return network.eval()
