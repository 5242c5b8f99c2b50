"""An encoder that the package does not have: residual, with batch norms, as small as a test needs it."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from cxreport.train.networks.encoders.trunk import Trunk


class Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016); halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(hidden)) + self.shortcut(x))


class TinyResidual(Trunk):
    """Three blocks."""

    full_channels = (64, 128, 256)
    strides = (2, 4, 8)

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        channels = [3, *self.channels]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(channels))

    def maps(self, pictures: Tensor) -> list[Tensor]:
        maps = [pictures]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[1:]

    def early_parameters(self) -> list[nn.Parameter]:
        return list(self.blocks[0].parameters())
