"""Preprocess: a view's 8-bit grey pixels to the square network input. Training and inference share this module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["network_input"]


def network_input(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Stretch a grey image to ``size`` x ``size``, by area averaging where it shrinks and bilinearly where it grows.

    The public NIH ChestX-ray14 images were stretched to a square without keeping the aspect ratio, and the training
    images here are area averages of them, so inference does the same.

    Args:
        pixels: (H, W) uint8, 0 = black = air.
        size: side of the network input in pixels.

    Returns:
        (size, size) uint8.
    """
    height, width = pixels.shape
    if (height, width) == (size, size):
        return pixels
    image = Image.fromarray(pixels)
    shrunk = (min(width, size), min(height, size))
    if shrunk != image.size:
        image = image.resize(shrunk, Image.Resampling.BOX)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)
