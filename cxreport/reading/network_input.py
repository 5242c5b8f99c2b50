"""Network input: a view's pixels stretched to a square, in training as in inference."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cxreport.types import Pixels

__all__ = ["network_input"]


def network_input(pixels: Pixels, size: int, channels: int = 1) -> Pixels:
    """Stretch an image to ``size`` x ``size``, by area averaging where it shrinks and bilinearly where it grows.

    The public NIH ChestX-ray14 images were stretched to a square without keeping the aspect ratio, and the training
    images here are area averages of them, so inference does the same.

    Args:
        pixels: (H, W) grey, 0 = black = air, or (H, W, 3) RGB.
        size: side of the network input in pixels.
        channels: 3 repeats grey three times; 1 takes grey alone.

    Returns:
        (size, size) uint8, or (size, size, 3) with three channels.
    """
    if channels == 3 and pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    image = Image.fromarray(pixels)
    shrunk = (min(width, size), min(height, size))
    if shrunk != image.size:
        image = image.resize(shrunk, Image.Resampling.BOX)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)
