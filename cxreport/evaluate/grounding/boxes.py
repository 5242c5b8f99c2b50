"""Boxes of radiologists around findings of NIH ChestX-ray14 (Wang et al. 2017), and the images that they are on.

They are for measuring only: nothing is trained on them or chosen by them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxreport.datasets.nih import patient
from cxreport.errors import UsageError
from cxreport.reading.network_input import network_input
from cxreport.types import Grey

ORIGINAL = 1024
"""Side in pixels of the images that the boxes were drawn on."""
_IMAGE, _LABEL, _NUMBERS = "Image Index", "Finding Label", ("x", "y", "w", "h")
_OTHER_NAMES = {"Infiltrate": "Infiltration"}
"""Labels of the box file -> findings."""

Box = tuple[float, float, float, float]
"""Left, top, width and height as shares of the image's side."""


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """Image with boxes."""

    name: str
    pixels: Grey
    """(S, S)"""
    val: bool
    """True if the image is of a val patient: in a val list, and its patient in no train list."""
    boxes: Mapping[str, tuple[Box, ...]]
    """Finding -> the boxes around it."""


def read_boxes(path: Path) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Read a box file: image file name -> finding -> boxes.

    Args:
        path: CSV with the columns ``Image Index``, ``Finding Label`` and ``x``, ``y``, ``w``, ``h`` in pixels of the
            original images, or headed as NIH published it (``Bbox [x,y,w,h]``).

    Raises:
        FileNotFoundError: no such file.
        UsageError: it cannot be read, lacks a column, or a row has no box.
    """
    boxes: dict[str, dict[str, tuple[Box, ...]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            columns = _columns(path, next(reader, []))
            for number, row in enumerate(reader, start=2):
                if row:
                    name, label, box = _row(path, number, row, columns)
                    by_finding = boxes.setdefault(name, {})
                    by_finding[label] = (*by_finding.get(label, ()), box)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a table.", hint=_hint()) from error
    return boxes


def _hint() -> str:
    return f"The box file is CSV with the columns {', '.join((_IMAGE, _LABEL, *_NUMBERS))}, in pixels of {ORIGINAL}."


def _columns(path: Path, header: Sequence[str]) -> list[int]:
    """Indices of the columns: image, label, then the four numbers."""
    names = [name.strip().removeprefix("Bbox [").removesuffix("]") for name in header]
    missing = [name for name in (_IMAGE, _LABEL, *_NUMBERS) if name not in names]
    if missing:
        raise UsageError(f"{path}: no column {', '.join(missing)}.", hint=_hint())
    return [names.index(name) for name in (_IMAGE, _LABEL, *_NUMBERS)]


def _row(path: Path, number: int, row: Sequence[str], columns: Sequence[int]) -> tuple[str, str, Box]:
    try:
        name, label, *numbers = (row[column] for column in columns)
        x, y, w, h = (float(value) / ORIGINAL for value in numbers)
    except (IndexError, ValueError):
        raise UsageError(f"{path}: row {number} has no box.", hint=_hint()) from None
    if not (w > 0 and h > 0 and all(map(math.isfinite, (x, y, w, h)))):
        raise UsageError(f"{path}: row {number} has a box without an area.", hint=_hint())
    return name, _OTHER_NAMES.get(label, label), (x, y, w, h)


def find_boxed(
    folders: Sequence[Path],
    boxes: Mapping[str, Mapping[str, tuple[Box, ...]]],
    findings: Sequence[str],
    size: int,
    limit: int | None = None,
) -> list[BoxedImage]:
    """Read the images that have boxes, whatever split they are in.

    Args:
        folders: of the layout of NIH ChestX-ray14; where several have an image, the first one's counts.
        boxes: of `read_boxes`.
        findings: whose boxes are taken.
        size: side of the network input.
        limit: only so many, the first ones.

    Raises:
        UsageError: not one of the images is there.
    """
    val, train = (_patients(folders, split) for split in ("val", "train"))
    images: list[BoxedImage] = []
    for name, by_finding in boxes.items():
        selection = {finding: by_finding[finding] for finding in findings if finding in by_finding}
        path = next((p for folder in folders if (p := folder / "images" / name).is_file()), None)
        if selection and path is not None and (limit is None or len(images) < limit):
            with Image.open(path) as image:
                pixels = network_input(np.asarray(image.convert("L")), size)
            images.append(BoxedImage(name=name, pixels=pixels, val=patient(name) in val - train, boxes=selection))
    if not images:
        raise UsageError(
            "None of the NIH folders has an image with a box around a finding that the bundle reports.",
            hint="Name the folders with the images of the box file, each with --nih.",
        )
    return images


def _patients(folders: Sequence[Path], split: str) -> set[str]:
    """Patients of a split, in all folders together."""
    lists = [path for folder in folders if (path := folder / f"{split}_list.txt").exists()]
    return {patient(name) for path in lists for name in path.read_text().split()}


def box_mask(boxes: Sequence[Box], side: int) -> NDArray[np.bool_]:
    """Pixels of a square image whose middle is in one of the boxes: (side, side).

    A box between the middles has the pixel that its own middle is in.
    """
    middles = (np.arange(side) + 0.5) / side
    mask = np.zeros((side, side), bool)
    for left, top, width, height in boxes:
        down = (middles >= top) & (middles < top + height)
        across = (middles >= left) & (middles < left + width)
        pixels = np.outer(down, across)
        if not pixels.any():
            pixels[_pixel(top + height / 2, side), _pixel(left + width / 2, side)] = True
        mask |= pixels
    return mask


def _pixel(position: float, side: int) -> int:
    return min(max(int(position * side), 0), side - 1)
