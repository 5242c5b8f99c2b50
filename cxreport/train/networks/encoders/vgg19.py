"""VGG-19's convolutions to relu5_4 (Simonyan & Zisserman 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from cxreport.train.networks.encoders.trunk import Trunk, scaled

# torchvision's vgg19().features up to relu5_4: output channels of each convolution, 0 = max pooling.
_CHANNELS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
_BLOCK_3 = 10
"""Index of its first convolution in torchvision's vgg19().features."""


class Vgg19(Trunk, nn.Sequential):
    """Convolutions, ReLUs and poolings, with the parameter names of torchvision's ``vgg19().features``."""

    full_channels = (64, 128, 256, 512, 512)
    strides = (1, 2, 4, 8, 16)

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        channels = 3
        for full_channels in _CHANNELS:
            if full_channels == 0:
                self.append(nn.MaxPool2d(2, 2))
            else:
                outputs = scaled(full_channels, width)
                self.append(nn.Conv2d(channels, outputs, 3, padding=1)).append(nn.ReLU(inplace=True))
                channels = outputs

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """relu1_2, relu2_2, relu3_4, relu4_4 and relu5_4, (B, C, H, W) each."""
        x, maps = pictures, []
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def early_parameters(self) -> list[nn.Parameter]:
        """Those of blocks 1 and 2."""
        return [weights for layer in list(self)[:_BLOCK_3] for weights in layer.parameters()]
