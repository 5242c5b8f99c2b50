"""The encoder of images: the convolutions of a recipe's choice and a multi-label tag head."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.train.networks.encoders.trunk import Trunk
from cxreport.types import Pixels

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ParameterGroups(NamedTuple):
    """The encoder's parameters by the rate that they learn at."""

    early: list[nn.Parameter]
    """Of the layers that see edges in any picture."""
    late: list[nn.Parameter]
    """Of the other convolutions."""
    head: list[nn.Parameter]


def has_bfloat16_units() -> bool:
    """Whether the processor computes in bfloat16; without such units it would be emulated, slowly."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def to_input(pixels: Pixels) -> Tensor:
    """(B, S, S) grey or (B, S, S, 3) RGB uint8 -> (B, C, S, S) float, 0 to 255."""
    images = torch.from_numpy(pixels).float()
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """Patch features, tag logits and mean patches of images, grey or RGB.

    The embedding is standardised before the tag head: chest X-rays resemble each other so much that a linear head on
    the raw means hardly learns (AUC .55 after 5,000 images).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: Trunk, tags: int, *, dropout: float = 0.2, patch_depth: int = -1) -> None:
        """Put a tag head on convolutions.

        Args:
            trunk: one of `encoders.ENCODERS`.
            tags: number of labels.
            dropout: share of the embedding that is dropped in training.
            patch_depth: index of the map that the patches are of, among `Trunk.maps`; -1 for the deepest.
        """
        super().__init__()
        self.features = trunk
        self.patch_depth = patch_depth
        self.norm = nn.BatchNorm1d(trunk.channels[-1], affine=False, momentum=0.05)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(trunk.channels[-1], tags)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode a batch.

        Args:
            grey: (B, C, S, S) float, 0 to 255, of one channel or three.

        Returns:
            patch features (B, P, D), tag logits (B, tags), the mean of the deepest map (B, E).
        """
        return self.read(self.maps(grey))

    def maps(self, grey: Tensor) -> list[Tensor]:
        """(B, C, S, S) as in `forward` -> `Trunk.maps` of several depths, (B, C, H, W) each."""
        x = ((grey / 255.0).expand(-1, 3, -1, -1) - self.mean) / self.std
        return self.features.maps(x.contiguous(memory_format=torch.channels_last))

    def read(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of `forward`, from the images' `maps`."""
        patches = maps[self.patch_depth].flatten(2).transpose(1, 2).float()
        embedding = maps[-1].float().mean((2, 3))
        return patches, self.tag_logits(embedding), embedding

    def tag_logits(self, embedding: Tensor) -> Tensor:
        """(B, tags) of the means of the deepest maps (B, E)."""
        logits: Tensor = self.tag_head(self.dropout(self.norm(embedding)))
        return logits

    @torch.no_grad()
    def calibrate(self, slope: Tensor, bias: Tensor) -> None:
        """Make the tag logits slope * logit + bias, (tags,) each."""
        self.tag_head.weight.mul_(slope.unsqueeze(1))
        self.tag_head.bias.mul_(slope).add_(bias)

    @property
    def patch_dim(self) -> int:
        """Features D of a patch."""
        return self.features.channels[self.patch_depth]

    def patches(self, size: int) -> int:
        """Number of patches P of an image of a side in pixels."""
        return self.features.places(self.patch_depth, size)

    def parameter_groups(self) -> ParameterGroups:
        """All parameters, by the rate that they learn at."""
        early = self.features.early_parameters()
        ids = set(map(id, early))
        late = [weights for weights in self.features.parameters() if id(weights) not in ids]
        return ParameterGroups(early, late, list(self.tag_head.parameters()))


def augment(grey: Tensor, size: int, generator: torch.Generator, mirror: bool = True) -> Tensor:
    """Random flip, rotation, scale, shift, gamma and contrast, at the side that this phase trains with.

    Args:
        grey: (B, C, S, S) float, 0 to 255.
        size: side of the output.
        generator: the source of randomness.
        mirror: whether images may be flipped.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(grey), generator=generator) * (high - low) + low

    angle, scale = uniform(-0.15, 0.15), uniform(0.88, 1.1)
    flip = (uniform(0, 1) < 0.5).float() * 2 - 1
    if not mirror:
        flip = flip.abs()
    theta = torch.zeros(len(grey), 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * scale * flip, -angle.sin() * scale
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * scale * flip, angle.cos() * scale
    theta[:, 0, 2], theta[:, 1, 2] = uniform(-0.08, 0.08), uniform(-0.08, 0.08)
    grid = F.affine_grid(theta, [len(grey), grey.shape[1], size, size], align_corners=False)
    if size < grey.shape[-1]:
        grey = F.interpolate(grey, size=(size, size), mode="area")
    x = F.grid_sample(grey / 255.0, grid, align_corners=False)
    gamma, gain, offset = (uniform(*r).view(-1, 1, 1, 1) for r in ((0.75, 1.33), (0.85, 1.15), (-0.08, 0.08)))
    return (x.clamp(1e-4, 1) ** gamma * gain + offset).clamp(0, 1) * 255.0


def disturb(grey: Tensor, noise: float, erase: float, generator: torch.Generator) -> Tensor:
    """Change what says nothing of a finding: fine detail, as it differs between ways to shrink, and hidden parts.

    Args:
        grey: (B, C, S, S) float, 0 to 255.
        noise: highest deviation in grey levels, of what is added before most images are blurred a little.
        erase: share of images with a rectangle of one grey, of up to half of each side.
        generator: the source of randomness.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    count, side = len(grey), grey.shape[-1]
    sigma = noise * uniform(count, 1, 1, 1)
    x = grey + sigma * torch.randn(grey.shape, generator=generator)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    x = x.lerp(blurred, 0.7 * (uniform(count, 1, 1, 1) - 0.3).clamp(min=0))
    height, width = (side * (0.1 + 0.4 * uniform(2, count))).int()
    top, left = (uniform(count) * (side - height)).int(), (uniform(count) * (side - width)).int()
    rows = torch.arange(side)
    inside_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    inside_columns = (rows >= left[:, None]) & (rows < (left + width)[:, None])
    hidden = inside_rows[:, :, None] & inside_columns[:, None] & (uniform(count) < erase)[:, None, None]
    return torch.where(hidden[:, None], 255 * uniform(count, 1, 1, 1), x).clamp(0, 255)


@torch.inference_mode()
def encode_all(
    encoder: Encoder, pixels: NDArray[np.uint8], size: int | None = None, batch: int = 32
) -> tuple[Tensor, Tensor]:
    """Encode many images.

    Args:
        encoder: put in evaluation mode.
        pixels: (N, S, S) or (N, S, S, 3).
        size: side to shrink to; None leaves them as they are.
        batch: images that are encoded together.

    Returns:
        patch features (N, P, D) in half precision and tag logits (N, T).
    """
    encoder.eval()
    patches, logits = [], []
    for i in range(0, len(pixels), batch):
        grey = to_input(pixels[i : i + batch])
        if size and size < grey.shape[-1]:
            grey = F.interpolate(grey, size=(size, size), mode="area")
        features, tag_logits, _ = encoder(grey)
        patches.append(features.half())
        logits.append(tag_logits)
    return torch.cat(patches), torch.cat(logits)


def tag_probabilities(encoder: Encoder, pixels: NDArray[np.uint8], size: int | None = None) -> NDArray[np.float32]:
    """Tag probabilities (N, T) of (N, S, S) images."""
    _, logits = encode_all(encoder, pixels, size)
    return logits.sigmoid().numpy()
