"""The encoder: VGG-19 convolutions to relu5_4 (Simonyan & Zisserman 2015) and a multi-label tag head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.types import Pixels

# torchvision's vgg19().features up to relu5_4: output channels of each convolution, 0 = max pooling.
_LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH_DIM = 512
PATCH_STRIDE = 16
"""Pixels of the network input per patch and side."""


def vgg19_features(width: float = 1.0) -> nn.Sequential:
    """VGG-19's convolutions under torchvision's parameter names; ``width`` < 1 makes the tiny test encoder."""
    layers: list[nn.Module] = []
    channels = 3
    for out in _LAYERS:
        if out == 0:
            layers.append(nn.MaxPool2d(2, 2))
        else:
            out = max(1, int(out * width))
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
            channels = out
    return nn.Sequential(*layers)


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

    def __init__(self, tags: int, *, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = vgg19_features(width)
        self.norm = nn.BatchNorm1d(max(1, int(PATCH_DIM * width)), affine=False, momentum=0.05)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(max(1, int(PATCH_DIM * width)), tags)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode a batch.

        Args:
            grey: (B, C, S, S) float, 0 to 255, of one channel or three.

        Returns:
            patch features (B, (S/16)^2, 512), tag logits (B, tags), their mean (B, 512).
        """
        return self.read(self.maps(grey))

    def maps(self, grey: Tensor) -> list[Tensor]:
        """(B, C, S, S) as in `forward` -> relu1_2, relu2_2, relu3_4, relu4_4 and relu5_4, (B, C, H, W) each."""
        x = ((grey / 255.0).expand(-1, 3, -1, -1) - self.mean) / self.std
        x, maps = x.contiguous(memory_format=torch.channels_last), []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def read(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` returns, from the images' `maps`."""
        patches = maps[-1].flatten(2).transpose(1, 2).float()
        embedding = patches.mean(1)
        return patches, self.tag_head(self.dropout(self.norm(embedding))), embedding

    @torch.no_grad()
    def calibrate(self, slope: Tensor, bias: Tensor) -> None:
        """Make the tag logits slope * logit + bias, (tags,) each."""
        self.tag_head.weight.mul_(slope.unsqueeze(1))
        self.tag_head.bias.mul_(slope).add_(bias)

    def load_imagenet(self, path: Path) -> None:
        """Load ImageNet convolutions saved as a state dict of ``vgg19().features``."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.features.load_state_dict({k: v.float() for k, v in state.items()})


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
