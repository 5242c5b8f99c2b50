"""Dataset adapter for NIH ChestX-ray14 (Wang et al. 2017): ``images/``, a table of labels, patient list files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxreport.reading.network_input import network_input
from cxreport.text.lexicon import packaged
from cxreport.types import Floats

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)


@dataclass(frozen=True)
class LabelledImages:
    """Images and labels of one split: pixels (N, S, S) uint8, labels (N, 14) float32, names of the image files."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.float32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: LabelledImages) -> LabelledImages:
        return LabelledImages(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.labels, other.labels]),
            self.names + other.names,
        )


_TABLES = ("Data_Entry_2017.csv", "images.csv")
"""Names of the table: the official one, and that of a part of the collection."""


def read_labels(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Image name in the official table -> (14,) multi-hot labels in the order of `FINDINGS`.

    Raises:
        FileNotFoundError: neither ``Data_Entry_2017.csv`` nor ``images.csv``, in the same columns, is there.
    """
    with _first_there(*(folder / name for name in _TABLES)).open(newline="") as stream:
        rows = csv.DictReader(stream)
        return {
            row["Image Index"]: np.array([f in row["Finding Labels"].split("|") for f in FINDINGS], np.float32)
            for row in rows
        }


def read_split(folder: Path, split: str, size: int) -> LabelledImages:
    """Read the images of a split into memory.

    Args:
        folder: an NIH layout.
        split: ``train`` or ``val`` (``<split>_list.txt``); without list files the whole folder is the train split.
        size: side of the network input.

    Raises:
        FileNotFoundError: no such folder, table, list or image.
    """
    labels = read_labels(folder)
    listing = folder / f"{split}_list.txt"
    if listing.exists():
        names = listing.read_text().split()
    elif split == "train":
        names = sorted(labels)
    else:
        raise FileNotFoundError(f"{listing}: the {split} split needs a list of image files")
    pixels = np.empty((len(names), size, size), np.uint8)
    for i, name in enumerate(names):
        path = folder / "images" / name
        with Image.open(_first_there(path, path.with_suffix(".jpg"))) as image:  # smaller copies may be JPEG
            pixels[i] = network_input(np.asarray(image.convert("L")), size)
    return LabelledImages(pixels, np.stack([labels[n] for n in names]), tuple(names))


def _first_there(*paths: Path) -> Path:
    """The first path that exists, or else the first, for the error to name."""
    return next((path for path in paths if path.exists()), paths[0])


def nih_mask(tags: tuple[str, ...], findings: tuple[str, ...]) -> NDArray[np.bool_]:
    """(R, T) mask: true where a finding speaks for a reporting tag."""
    evidence = packaged().nih_findings
    return np.array([[f in evidence.get(t, ()) for f in findings] for t in tags])


def patient(name: str) -> str:
    """Patient of an image: what its file name begins with."""
    return name.partition("_")[0]


def nih_targets(labels: Floats, tags: tuple[str, ...], findings: tuple[str, ...]) -> Floats:
    """(N, T) NIH labels -> (N, R): a reporting tag is positive when one of its findings is."""
    return (labels @ nih_mask(tags, findings).T.astype(np.float32) > 0).astype(np.float32)
