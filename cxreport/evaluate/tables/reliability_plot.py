"""Reliability diagrams: how often a finding is there when the tag head gives it a probability."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from cxreport.evaluate.tags import ReliabilityBins

_COLUMNS, _SIDE, _MARGIN = 4, 200, 40
_BLACK, _GREY, _BLUE = (0, 0, 0), (190, 190, 190), (31, 90, 180)


def reliability_plot(findings: dict[str, ReliabilityBins]) -> Image.Image:
    """Draw a square per finding: predicted probability to the right, observed share upwards, both 0 to 1.

    The area of a dot grows with the images in its bin; a calibrated head has its dots on the diagonal.
    """
    cell = _SIDE + _MARGIN
    rows = math.ceil(len(findings) / _COLUMNS)
    picture = Image.new("RGB", (_COLUMNS * cell + _MARGIN, rows * cell + _MARGIN), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    for i, (name, bins) in enumerate(findings.items()):
        left, top = _MARGIN + i % _COLUMNS * cell, _MARGIN + i // _COLUMNS * cell
        draw.text((left, top - 17), f"{name}, ECE {bins.error:.3f}", _BLACK, font)
        draw.rectangle((left, top, left + _SIDE, top + _SIDE), outline=_GREY)
        draw.line((left, top + _SIDE, left + _SIDE, top), _GREY)
        for at, anchor in (((left, top + _SIDE + 3), "la"), ((left + _SIDE, top + _SIDE + 3), "ra")):
            draw.text(at, "0" if anchor == "la" else "1", _GREY, font, anchor=anchor)
        draw.text((left - 4, top), "1", _GREY, font, anchor="ra")
        _draw_bins(draw, bins, left, top + _SIDE)
    return picture


def _draw_bins(draw: ImageDraw.ImageDraw, bins: ReliabilityBins, left: int, bottom: int) -> None:
    points = [
        (left + p * _SIDE, bottom - o * _SIDE)
        for p, o in zip(bins.predicted.tolist(), bins.observed.tolist(), strict=True)
    ]
    draw.line(points, _BLUE)
    for (x, y), share in zip(points, (bins.counts / bins.counts.sum()).tolist(), strict=True):
        radius = 2 + 7 * math.sqrt(share)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_BLUE)
