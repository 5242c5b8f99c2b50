"""Preprocessing: a view's pixels to the square network input, in training as in inference."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from cxreport.errors import CxreportError
from cxreport.stopwatch import Stopwatch
from cxreport.types import Failure, InputShape, Pixels, Study

log = logging.getLogger(__name__)
_STAGE = "preprocess"


def preprocess(study: Study, shape: InputShape) -> Study | Failure:
    """Replace a study's pixels by the network's input, once: a study that holds it already stays as it is."""
    if _STAGE in study.timing_ms and (study.view is None or study.view.pixels.shape == shape.of_array):
        return study
    watch = Stopwatch(dict(study.timing_ms))
    try:
        with watch.stage(_STAGE):
            if study.view is not None:
                pixels = network_input(study.view.pixels, shape.size, shape.channels)
                study = replace(study, view=replace(study.view, pixels=pixels))
    except Exception as error:
        return drafting_failure(study, error)
    return replace(study, timing_ms=watch.timing_ms)


def drafting_failure(study: Study, error: Exception) -> Failure:
    """Failure of a study that was read, by what ended it."""
    log.debug("a study failed", exc_info=error)
    return Failure(study.id, study.sources, CxreportError.of(error, "drafting the report"))


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
    from PIL import Image  # in the processes that read; the main one has no use for it

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
