"""The contract of an encoder's convolutions: maps of several depths, sizes, learning rates and start weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from cxreport.errors import TrainingError


class Trunk(nn.Module, ABC):
    """Convolutions from standardised pictures to feature maps, with the parameter names of their published weights.

    Everything else asks here: the tag head and the writers for ``channels``, the bundle for `places`, the optimiser for
    `early_parameters`.
    """

    full_channels: ClassVar[tuple[int, ...]]
    """Channels of each of the `maps` at width 1."""
    strides: ClassVar[tuple[int, ...]]
    """Pixels of the network input per place and side of each of the `maps`."""
    unused_weights: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names, in the published file, of layers that the trunk leaves out, as a classifier's."""
    channels: tuple[int, ...]
    """Channels of each of the `maps`."""

    def __init__(self, width: float = 1.0) -> None:
        """Draw start values.

        Args:
            width: share of the published number of channels, for tests.
        """
        super().__init__()
        self.channels = tuple(scaled(full, width) for full in self.full_channels)

    @abstractmethod
    def maps(self, pictures: Tensor) -> list[Tensor]:
        """Compute feature maps of increasing depth.

        Args:
            pictures: (B, 3, S, S) float, standardised by ImageNet's mean and deviation, channels last in memory.

        Returns:
            at least three of (B, C, H, W) each, none with negative values, since `Typicality` takes roots of their
            means. The tag head reads the last one, the writers take one of a recipe's choice for their patches. The two
            before the last are what the joint space reads its finer patches from: the first of them has twice the
            other's rows and columns.
        """

    @abstractmethod
    def early_parameters(self) -> list[nn.Parameter]:
        """Parameters of the layers that see edges in any picture and learn at the recipe's ``lr_low``."""

    def places(self, depth: int, size: int) -> int:
        """Number of places H * W of a map.

        Args:
            depth: index of one of the `maps`, negative ones from the deepest.
            size: side of the pictures in pixels.
        """
        return (size // self.strides[depth]) ** 2

    def load_start_weights(self, path: Path) -> None:
        """Load a state dict of published weights, in any precision.

        Raises:
            TrainingError: the file holds other weights.
        """
        state = torch.load(path, weights_only=True, map_location="cpu")
        used = {name: weights.float() for name, weights in state.items() if not name.startswith(self.unused_weights)}
        try:
            self.load_state_dict(used)
        except RuntimeError as error:  # lists every name and shape that differs
            raise TrainingError(
                f"{path}: not the weights of this encoder, {type(self).__name__}.",
                hint="Name its own under [data] imagenet in the recipe, or none to start from random ones.",
            ) from error


def scaled(channels: int, width: float) -> int:
    """Number of channels at a width."""
    return max(1, int(channels * width))
