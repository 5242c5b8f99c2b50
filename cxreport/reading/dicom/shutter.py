"""Display Shutter (PS3.3 C.7.6.11, C.7.6.15): what of an image is covered, and by which grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxreport.reading.dicom.attributes import content, integer, numbers, texts
from cxreport.reading.grey import Mask
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MOST_VERTICES = 10_000
_ROWS, _COLUMNS, _ORIGIN, _DATA = 0x10, 0x11, 0x50, 0x3000  # elements of an overlay (PS3.3 C.9.2)


@dataclass(frozen=True)
class Shutter:
    """The part of an image that is shown."""

    opening: Mask
    """(H, W) true for pixels that are shown."""
    grey: int
    """8-bit grey of the others: the Shutter Presentation Value, black where there is none."""

    def cover(self, grey: Grey) -> Grey:
        """Cover what lies outside of the opening; (H, W) 8-bit grey."""
        return np.where(self.opening, grey, np.uint8(self.grey))


def has_shutter(header: Dataset) -> bool:
    """True for a header that states a shape, whether it can be used or not."""
    return "ShutterShape" in header


def display_shutter(header: Dataset, size: tuple[int, int]) -> Shutter | None:
    """The shutter that a header states.

    Args:
        header: the instance's attributes.
        size: (H, W) of the image.

    Returns:
        The shutter, with the openings of several shapes in common; None where the header has none, where a shape lacks
        what it is made of, and where nothing would be shown.
    """
    found = (_opening(header, shape, size) for shape in texts(header, "ShutterShape"))
    openings = [opening for opening in found if opening is not None]
    if not openings:
        return None
    opening = np.logical_and.reduce(openings)
    if not opening.any() or opening.all():
        return None
    value = integer(header, "ShutterPresentationValue") or 0  # a P-value of 16 bits (PS3.3 C.7.6.11)
    return Shutter(opening, round(min(max(value, 0), 0xFFFF) / 0xFFFF * 255))


def _opening(header: Dataset, shape: str, size: tuple[int, int]) -> Mask | None:
    match shape:
        case "RECTANGULAR":
            return _rectangle(header, size)
        case "CIRCULAR":
            return _circle(header, size)
        case "POLYGONAL":
            return _polygon(header, size)
        case "BITMAP":
            return _bitmap(header, size)
    return None


def _rectangle(header: Dataset, size: tuple[int, int]) -> Mask | None:
    """Edges are rows and columns from 1, the last that are shown."""
    edges = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    upper, lower, left, right = (integer(header, f"Shutter{edge}") for edge in edges)
    if upper is None or lower is None or left is None or right is None:
        return None
    opening = np.zeros(size, np.bool_)
    opening[max(0, upper - 1) : max(0, lower), max(0, left - 1) : max(0, right)] = True
    return opening


def _circle(header: Dataset, size: tuple[int, int]) -> Mask | None:
    """The radius is in pixels along a row; Pixel Aspect Ratio is vertical to horizontal (PS3.3 C.7.6.3.1.7)."""
    center, radius = numbers(header, "CenterOfCircularShutter"), integer(header, "RadiusOfCircularShutter")
    if len(center) != 2 or not radius or radius < 0:
        return None
    ratio = numbers(header, "PixelAspectRatio")
    aspect = ratio[0] / ratio[1] if len(ratio) == 2 and min(ratio) > 0 else 1.0
    rows = (np.arange(1, size[0] + 1) - center[0]) * aspect
    columns = np.arange(1, size[1] + 1) - center[1]
    return np.asarray(rows[:, np.newaxis] ** 2 + columns**2 <= radius**2)


def _polygon(header: Dataset, size: tuple[int, int]) -> Mask | None:
    """Vertices are rows and columns from 1; the last is joined to the first."""
    vertices = numbers(header, "VerticesOfThePolygonalShutter")
    if len(vertices) < 6 or len(vertices) % 2 or len(vertices) > 2 * _MOST_VERTICES:
        return None
    from PIL import Image, ImageDraw

    mask = Image.new("1", size[::-1])
    corners = [(column - 1, row - 1) for row, column in zip(vertices[::2], vertices[1::2], strict=True)]
    ImageDraw.Draw(mask).polygon(corners, fill=1, outline=1)
    return np.array(mask)


def _bitmap(header: Dataset, size: tuple[int, int]) -> Mask | None:
    """An overlay whose ones are covered; its Origin is row and column of its first pixel, from 1."""
    group = integer(header, "ShutterOverlayGroup")
    if group is None or not 0x6000 <= group <= 0x601E:
        return None
    rows, columns = (integer(header, group << 16 | number) or 0 for number in (_ROWS, _COLUMNS))
    origin = numbers(header, group << 16 | _ORIGIN) or [1.0, 1.0]
    data = content(header, group << 16 | _DATA)
    if rows < 1 or columns < 1 or len(origin) != 2 or len(data) * 8 < rows * columns:
        return None
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: rows * columns].reshape(rows, columns)
    top, left = (int(place) - 1 for place in origin)
    opening = np.ones(size, np.bool_)
    within = opening[max(0, top) : max(0, top + rows), max(0, left) : max(0, left + columns)]
    within &= bits[max(0, -top) :, max(0, -left) :][: within.shape[0], : within.shape[1]] == 0
    return opening
