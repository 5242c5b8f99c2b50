"""Reliability diagrams of the tag head: share of positives by predicted probability, a square per finding."""

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
        x, y = _MARGIN + i % _COLUMNS * cell, _MARGIN + i // _COLUMNS * cell
        draw.text((x, y - 17), f"{name}, ECE {bins.error:.3f}", _BLACK, font)
        draw.rectangle((x, y, x + _SIDE, y + _SIDE), outline=_GREY)
        draw.line((x, y + _SIDE, x + _SIDE, y), _GREY)
        draw.text((x, y + _SIDE + 3), "0", _GREY, font, anchor="la")
        draw.text((x + _SIDE, y + _SIDE + 3), "1", _GREY, font, anchor="ra")
        draw.text((x - 4, y), "1", _GREY, font, anchor="ra")
        _draw_bins(draw, bins, (x, y + _SIDE))
    return picture


def _draw_bins(draw: ImageDraw.ImageDraw, bins: ReliabilityBins, origin: tuple[int, int]) -> None:
    points = [
        (origin[0] + predicted * _SIDE, origin[1] - observed * _SIDE)
        for predicted, observed in zip(bins.predicted.tolist(), bins.observed.tolist(), strict=True)
    ]
    draw.line(points, _BLUE)
    for (x, y), share in zip(points, (bins.counts / bins.counts.sum()).tolist(), strict=True):
        radius = 2 + 7 * math.sqrt(share)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_BLUE)
