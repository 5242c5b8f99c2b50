"""Out-of-distribution distance: PCA reconstruction error of encoder features; 1 for a typical training image.

The residual after the principal components, as in Wang et al. 2022 (ViM) and in Ndiour et al. 2020, at several depths
at once as in Lee et al. 2018: noise, negatives and scans show in the early ones, other body parts and projections in
the later ones. The last one is left out: the better an encoder is taught, the more of it is disease, and a patient with
many metastases was farther from the training images than an upside-down radiograph. The features are square roots of
the channels' mean activations, because with the means themselves the few channels that seldom fire drown the others
(measured on altered chest X-rays).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Typicality(nn.Module):
    """Distance of images from the images that it was fitted to, by `fit.typicality.fit_typicality`."""

    mean: Tensor
    deviation: Tensor
    components: Tensor
    usual: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, components: Tensor, usual: Tensor) -> None:
        """Take the values of a fit.

        Args:
            mean: (F,) of the features.
            deviation: (F,) that they are divided by.
            components: (F, K) principal components of the quotients.
            usual: () mean square of the residuals.
        """
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("components", components)
        self.register_buffer("usual", usual)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, C, H, W) of each depth, as `Encoder.maps` gives them -> (B,) distances."""
        residuals = residual((depth_features(maps) - self.mean) / self.deviation, self.components)
        return (residuals.square().sum(1) / self.usual).sqrt()


def depth_features(maps: Sequence[Tensor]) -> Tensor:
    """(B, C, H, W) of each depth -> (B, F) square roots of the channels' means, at all depths but the last."""
    return torch.cat([depth.mean((2, 3)) for depth in early_depths(maps)], 1).sqrt()


def early_depths(maps: Sequence[Tensor]) -> Sequence[Tensor]:
    """All depths but the last; an only one stays."""
    return maps[: max(1, len(maps) - 1)]


def residual(standard: Tensor, components: Tensor) -> Tensor:
    """(B, F) features without their share of the components (F, K)."""
    return standard - standard @ components @ components.T
