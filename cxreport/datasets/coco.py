"""Dataset adapter for COCO captions (Chen et al. 2015), and anything else in its layout.

Layout: ``annotations/captions_<subset>2017.json`` and pictures under ``<subset>2017/``, the subset being train or val;
2014 in place of 2017 where the files are of that year. Optionally ``dataset_coco.json``, the split file of Karpathy &
Fei-Fei 2015, and ``shapes_boxes.json``, the boxes of generated shapes.
"""

from __future__ import annotations

import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxreport.errors import TrainingError

SPLIT_FILE, BOXES_FILE = "dataset_coco.json", "shapes_boxes.json"
Split = Literal["train", "val", "test"]
_SUBSETS, _YEARS = ("train", "val"), ("2017", "2014")
_LAYOUT = "The folder needs annotations/captions_train2017.json, captions_val2017.json, and the pictures beside them."


@dataclass(frozen=True)
class CocoImage:
    """A picture and its captions."""

    id: int
    path: Path
    captions: tuple[str, ...]
    """One or more, normally five, without line breaks."""


@dataclass(frozen=True)
class ShapeBox:
    """A shape in a generated picture, and its box."""

    kind: str
    """As its captions name it, such as ``circle``."""
    colour: str
    box: tuple[float, float, float, float]
    """Left, top, width and height in pixels of the picture."""


def read_captions(folder: Path, split: Split) -> list[CocoImage]:
    """The images of a split by ascending id.

    With ``dataset_coco.json`` the images are those that it names for the split (``restval`` trains, as in the papers)
    and the annotations have; without it, those of the annotations of the same name.

    Args:
        folder: a COCO layout.
        split: ``test`` needs the split file, as COCO's own test images have no public captions.

    Raises:
        FileNotFoundError: no such annotations or picture.
        TrainingError: a file is damaged or of another layout, an image has no caption, or the split has no image.
    """
    listing = folder / SPLIT_FILE
    if listing.exists():
        ids = _split_ids(listing, split)
        images = [image for subset in _SUBSETS for image in _read_subset(folder, subset) if image.id in ids]
    elif split in _SUBSETS:
        images = list(_read_subset(folder, split))
    else:
        raise TrainingError(f"{folder}: the {split} split needs {SPLIT_FILE}.")
    if not images:
        raise TrainingError(f"{folder}: the {split} split has no image.", hint=_LAYOUT)
    for image in images:
        if not image.path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(image.path))
    return sorted(images, key=lambda image: image.id)


def read_boxes(folder: Path) -> dict[int, tuple[ShapeBox, ...]]:
    """The shapes of each image by its id, from ``shapes_boxes.json``; empty without the file.

    Raises:
        TrainingError: the file is damaged or of another layout.
    """
    path = folder / BOXES_FILE
    if not path.exists():
        return {}
    try:
        return {
            int(number): tuple(ShapeBox(shape["kind"], shape["colour"], _box(shape["box"])) for shape in shapes)
            for number, shapes in _read(path).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"{path}: not boxes by image id.") from error


def _read_subset(folder: Path, subset: str) -> Iterator[CocoImage]:
    """The images of one annotation file, in its order."""
    releases = [(year, folder / "annotations" / f"captions_{subset}{year}.json") for year in _YEARS]
    year, path = next((release for release in releases if release[1].exists()), releases[0])
    data = _read(path)
    captions: defaultdict[int, list[str]] = defaultdict(list)
    try:
        for annotation in data["annotations"]:
            text = " ".join(annotation["caption"].split())
            if text:
                captions[annotation["image_id"]].append(text)
        for image in data["images"]:
            if image["id"] not in captions:
                raise TrainingError(f"{path}: image {image['id']} has no caption.", hint=_LAYOUT)
            picture = folder / f"{subset}{year}" / image["file_name"]
            yield CocoImage(image["id"], picture, tuple(captions[image["id"]]))
    except (KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path}: not COCO captions, which are images and annotations.", hint=_LAYOUT) from error


def _split_ids(path: Path, split: Split) -> set[int]:
    """Ids of the images that a split file names for a split."""
    names = {"train", "restval"} if split == "train" else {split}
    try:
        return {image["cocoid"] for image in _read(path)["images"] if image["split"] in names}
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{path}: not a split file, which has images with cocoid and split.") from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON.") from error


def _box(numbers: list[float]) -> tuple[float, float, float, float]:
    left, top, width, height = numbers
    return left, top, width, height
