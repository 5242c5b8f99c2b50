"""The encoder: VGG-19 convolutions to relu5_4 (Simonyan & Zisserman 2015) and a multi-label tag head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# torchvision's vgg19().features up to relu5_4: output channels of the convolutions, block by block.
_BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH_DIM = 512


class Encoder(nn.Module):
    """Patch features, tag logits and image embedding of grey images.

    The tag head reads what patches have on average and at most, and the averages of block 4: small findings show in
    few patches and in finer structure. What it reads is standardised before: chest X-rays resemble each other so much
    that a linear head on the raw means hardly learns (AUC .55 after 5,000 images).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tags: int, *, width: float = 1.0, dropout: float = 0.3) -> None:
        """Make an encoder with random weights; ``width`` < 1 makes the tiny one of the tests."""
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = 3
        for block in _BLOCKS:
            layers: list[nn.Module] = []
            for full in block:
                out = max(1, int(full * width))
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
                channels = out
            self.blocks.append(nn.Sequential(*layers))
        self.patch_dim = channels
        self.frozen = 0
        """How many blocks pass no gradient on to their weights."""
        self.norm = nn.BatchNorm1d(3 * channels, affine=False, momentum=0.05)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(3 * channels, tags)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode a batch.

        Args:
            grey: (B, 1, S, S) float, 0 to 255.

        Returns:
            patch features (B, (S/16)^2, 512), tag logits (B, tags), image embedding (B, 512): the mean patch.
        """
        return self.read(self.maps(grey))

    def read(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` returns, from the images' `maps`."""
        patches = maps[-1].flatten(2).transpose(1, 2).float()
        return patches, self.tag_head(self.dropout(self.norm(self.pooled(maps)))), patches.mean(1)

    def pooled(self, maps: list[Tensor]) -> Tensor:
        """What the tag head reads of feature maps: (B, 1536), mean and maximum of block 5, mean of block 4."""
        fourth, fifth = maps[-2].float(), maps[-1].float()
        return torch.cat([fifth.mean((2, 3)), fifth.amax((2, 3)), fourth.mean((2, 3))], 1)

    def maps(self, grey: Tensor) -> list[Tensor]:
        """The last feature map of each block: (B, channels, S / 2^i, S / 2^i) for block i from 0."""
        x = ((grey / 255.0).expand(-1, 3, -1, -1) - self.mean) / self.std
        x = x.contiguous(memory_format=torch.channels_last)
        found: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i >= self.frozen):
                x = block(F.max_pool2d(x, 2) if found else x)
            found.append(x)
        return found

    @torch.no_grad()
    def calibrate(self, slope: Tensor, bias: Tensor) -> None:
        """Make the tag logits slope * logit + bias, (tags,) each."""
        self.tag_head.weight.mul_(slope.unsqueeze(1))
        self.tag_head.bias.mul_(slope).add_(bias)

    def load_imagenet(self, path: Path) -> None:
        """Load ImageNet convolutions saved as a state dict of torchvision's ``vgg19().features``."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        ours = [f"{i}.{name}" for i, block in enumerate(self.blocks) for name in block.state_dict()]
        self.blocks.load_state_dict({k: v.float() for k, v in zip(ours, state.values(), strict=True)})

    @torch.no_grad()
    def insert_norms(self, grey: Tensor) -> None:
        """Put a batch norm behind every convolution that is tuned, one that changes nothing yet (Ioffe & Szegedy 2015).

        VGG-19 has none, and learns slowly without.

        Args:
            grey: (B, 1, S, S) images, 0 to 255, whose activations the norms start from.
        """
        x = ((grey / 255.0).expand(-1, 3, -1, -1) - self.mean) / self.std
        for i, block in enumerate(self.blocks):
            x = F.max_pool2d(x, 2) if i else x
            layers: list[nn.Module] = []
            for layer in block.children():
                x = layer(x)
                layers.append(layer)
                if isinstance(layer, nn.Conv2d) and i >= self.frozen:
                    layers.append(_unchanging_norm(x))
            self.blocks[i] = nn.Sequential(*layers)

    def fold_norms(self) -> None:
        """Take the norms out again, into the weights of their convolutions."""
        self.eval()
        for i, block in enumerate(self.blocks):
            layers: list[nn.Module] = []
            for layer in block.children():
                before = layers[-1] if layers else None
                if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
                    layers[-1] = nn.utils.fuse_conv_bn_eval(before, layer)
                else:
                    layers.append(layer)
            self.blocks[i] = nn.Sequential(*layers)


def _unchanging_norm(x: Tensor) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(x.shape[1], momentum=0.02)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(x.mean((0, 2, 3)))
    norm.running_var.copy_(x.var((0, 2, 3)))
    norm.bias.copy_(norm.running_mean)
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    return norm


def augment(grey: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Random flip, rotation, scale, shift, gamma and contrast, at the side that this phase trains with.

    Args:
        grey: (B, 1, S, S) float, 0 to 255.
        size: side of the output.
        generator: the source of randomness.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(grey), generator=generator) * (high - low) + low

    angle, scale = uniform(-0.15, 0.15), uniform(0.88, 1.1)
    flip = (uniform(0, 1) < 0.5).float() * 2 - 1
    theta = torch.zeros(len(grey), 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * scale * flip, -angle.sin() * scale
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * scale * flip, angle.cos() * scale
    theta[:, 0, 2], theta[:, 1, 2] = uniform(-0.08, 0.08), uniform(-0.08, 0.08)
    grid = F.affine_grid(theta, [len(grey), 1, size, size], align_corners=False)
    if size < grey.shape[-1]:
        grey = F.interpolate(grey, size=(size, size), mode="area")
    x = F.grid_sample(grey / 255.0, grid, align_corners=False)
    gamma, gain, offset = (uniform(*r).view(-1, 1, 1, 1) for r in ((0.75, 1.33), (0.85, 1.15), (-0.08, 0.08)))
    return (x.clamp(1e-4, 1) ** gamma * gain + offset).clamp(0, 1) * 255.0
