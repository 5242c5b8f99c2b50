"""Heat map of a draft as a Secondary Capture image (PS3.3 A.8.1): where its sentences look."""

from __future__ import annotations

import functools

import numpy as np
from highdicom.sc.sop import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from cxreport import __version__
from cxreport.errors import MissingMapsError
from cxreport.explain import heatmap
from cxreport.output.hospital.objects.identity import (
    DraftedStudy,
    Kind,
    attributes_of_instance,
    completed,
    references,
)
from cxreport.output.hospital.stated_tags import StatedTag, stated_tags
from cxreport.output.schema import rounded
from cxreport.types import Floats, Pixels, Report

_SIDE = 512
"""Longer side of the picture in pixels at least."""
_MARGIN = 6
_TEXT_SIZE = 15
_LINE = 20
"""Pixels from one line of text to the next."""
_LINES = 3
"""Lines of findings below the picture."""
_NOTICE = f"RESEARCH USE ONLY. Heat map of a drafted report, cxreport {__version__}"
_WHITE = (255, 255, 255)
_WORKSTATION = "WSD"
_BODY_PART = "CHEST"


def heat_map(drafted: DraftedStudy) -> Dataset:
    """Build the image.

    Args:
        drafted: study with an image; its sentences have maps.

    Returns:
        An RGB image in a series of its own: the picture under the map of what the report states, a notice above and the
        findings below. A report that states nothing has no colours.

    Raises:
        MissingMapsError: no sentence has a map, or the picture is not at hand.
    """
    report = drafted.report
    if report.study.view is None or not report.study.view.pixels.size:
        raise MissingMapsError(f"{report.study.id}: its picture is not at hand.")
    if report.sentences and not any(sentence.map for sentence in report.sentences):
        raise MissingMapsError(f"{report.study.id}: its sentences have no maps.")
    pixels = picture(drafted.report)
    digest = drafted.digest(Kind.HEAT_MAP, f"{pixels.shape}", pixels.tobytes())
    instance = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        **attributes_of_instance(drafted, Kind.HEAT_MAP, digest),
    )
    instance["PatientOrientation"].value = ""  # the class wants one; a header need not say how the picture is turned
    instance["PixelData"].VR = "OB"
    instance.ConversionType = _WORKSTATION
    instance.BodyPartExamined = _BODY_PART
    instance.BurnedInAnnotation = "YES"
    instance.DerivationDescription = "Picture of the network's input with maps of the sentences of a drafted report"
    if drafted.images:
        instance.SourceImageSequence = references(drafted.images[:1])
    instance.LossyImageCompression = "00"
    instance.DateOfSecondaryCapture, instance.TimeOfSecondaryCapture = instance.ContentDate, instance.ContentTime
    return completed(instance, drafted)


def picture(report: Report) -> Pixels:
    """(H, W, 3) RGB picture of a report, with text above and below it.

    Args:
        report: of a study with an image.
    """
    assert report.study.view is not None
    grey = heatmap.enlarged(_grey(report.study.view.pixels), _SIDE)
    maps = [sentence.map.weights for sentence in report.sentences if sentence.affirmed and sentence.map is not None]
    shown = _blended(grey, np.maximum.reduce([_relative(weights) for weights in maps])) if maps else _rgb(grey)
    width = shown.shape[1]
    return np.concatenate([_notice(width), shown, _caption(stated_tags(report), bool(maps), width)])


def _blended(grey: NDArray[np.uint8], weights: Floats) -> Pixels:
    """`heatmap.overlay` to within two grey levels, through tables of 256 levels of heat: in a tenth of its time."""
    levels = Image.fromarray(np.asarray(weights * 255 + 0.5, dtype=np.uint8))
    heat = levels.resize(grey.shape[::-1], Image.Resampling.BILINEAR)
    palette, opacities = _tables()
    colours = Image.frombytes("P", heat.size, heat.tobytes())
    colours.putpalette(palette)
    return np.asarray(
        Image.composite(colours.convert("RGB"), Image.fromarray(grey).convert("RGB"), heat.point(opacities))
    )


@functools.cache
def _tables() -> tuple[bytes, list[int]]:
    """Colours of the levels of heat, RGB after RGB, and their opacities, 0 to 255."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    colours = np.asarray(heatmap.coloured(levels) + 0.5, dtype=np.uint8)
    return colours.tobytes(), [round(level * heatmap.OPACITY * 255) for level in levels.tolist()]


def _relative(weights: Floats) -> Floats:
    """Weights over the largest one, as exactly as records keep them: a map out of a record has the same pixels."""
    kept = np.array([[rounded(weight) for weight in row] for row in weights], np.float32)
    return kept / (float(kept.max()) or 1.0)


def _grey(pixels: Pixels) -> NDArray[np.uint8]:
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def _rgb(grey: NDArray[np.uint8]) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=-1)


@functools.lru_cache(maxsize=8)
def _notice(width: int) -> Pixels:
    return _written([_NOTICE], 1, width)


def _caption(tags: list[StatedTag], has_map: bool, width: int) -> Pixels:
    """What is stated, the surest first; what does not fit is counted."""
    ordered = sorted(tags, key=lambda tag: -(tag.probability or 0))
    texts = [f"{tag.name}: {tag.value}{_figure(tag.probability)}" for tag in ordered]
    if len(texts) > _LINES:
        texts = [*texts[: _LINES - 1], f"and {len(texts) - _LINES + 1} more findings in the report"]
    if not has_map:
        texts = [*texts[: _LINES - 1], "No map: the report states no finding." if not texts else "No map."]
    return _written(texts, _LINES, width)


def _figure(probability: float | None) -> str:
    return "" if probability is None else f" (probability {rounded(probability):.2f})"


def _written(lines: list[str], room: int, width: int) -> Pixels:
    """(H, W, 3) white lines on black, each as small as it has to be to fit the width."""
    board = Image.new("RGB", (width, room * _LINE + 2 * _MARGIN - 4))
    draw = ImageDraw.Draw(board)
    for number, line in enumerate(lines):
        font = _font(_TEXT_SIZE)
        length = draw.textlength(line, font)
        if length > width - 2 * _MARGIN:
            font = _font(_TEXT_SIZE * (width - 2 * _MARGIN) / length)
        draw.text((_MARGIN, _MARGIN - 2 + number * _LINE), line, fill=_WHITE, font=font)
    return np.asarray(board)


@functools.lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
