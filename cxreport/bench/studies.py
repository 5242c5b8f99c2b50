"""Generated studies: drawings of chests in the encodings of archives, any number of them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from cxreport.errors import UsageError
from cxreport.model.choices import FileEncoding

_DISTINCT = 3
"""Images per encoding; the other studies are copies under other names and UIDs."""
_BITS = 12
_NOISE = 8.0
"""Standard deviation of the grain in stored values: lossless compression then gains what it gains on radiographs."""
_COARSE = (160, 128)


TRANSFER_SYNTAXES = {
    FileEncoding.RAW: uid.ExplicitVRLittleEndian,
    FileEncoding.RLE: uid.RLELossless,
    FileEncoding.J2K: uid.JPEG2000Lossless,
    FileEncoding.JPEG_LS: uid.JPEGLSLossless,
}
"""Transfer syntaxes of the encodings that are DICOM; the others are pictures."""
Mix = Mapping[FileEncoding, float]
"""Encoding -> share of the studies, of any sum."""


class Size(NamedTuple):
    """Size of an image in pixels."""

    rows: int
    columns: int


SIZE = Size(2500, 2048)
"""Size of a usual radiograph."""


@dataclass(frozen=True)
class GeneratedFiles:
    """Files of generated studies."""

    counts: dict[str, int]
    """Studies by encoding."""
    bytes: int
    """Size of all files."""


def parse_mix(text: str) -> Mix:
    """Read shares, as ``raw=50,png=50``.

    Raises:
        UsageError: an unknown encoding, or a share that is no positive number.
    """
    shares: dict[FileEncoding, float] = {}
    for item in text.split(","):
        name, _, share = item.strip().partition("=")
        try:
            shares[FileEncoding(name)] = float(share)
        except ValueError:
            hint = f"Encodings: {', '.join(FileEncoding)}. For example: raw=50,png=50"
            raise UsageError(f"{item!r} is not a share of a mix.", hint=hint) from None
    if not all(0 < share < float("inf") for share in shares.values()):
        raise UsageError("The shares of a mix are positive numbers.")
    return shares


def parse_size(text: str) -> Size:
    """Read a size, as ``2500x2048``: rows, then columns.

    Raises:
        UsageError: something else, or less than 16 pixels along a side.
    """
    rows, _, columns = text.partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and min(int(rows), int(columns)) >= 16):
        raise UsageError(f"{text!r} is not a size in pixels.", hint="For example: 2500x2048, height first.")
    return Size(int(rows), int(columns))


def write_studies(folder: Path, count: int, size: Size, mix: Mix) -> GeneratedFiles:
    """Write studies of one file each, the encodings well mixed in the order of their names.

    Args:
        folder: exists.
        count: of the studies.
        size: of the images.
        mix: shares of encodings.
    """
    originals = {
        encoding: [_original(encoding, size, seed) for seed in range(min(_DISTINCT, count))] for encoding in mix
    }
    counts: Counter[str] = Counter()
    total = 0
    for number, encoding in enumerate(_order(count, mix)):
        original = originals[encoding][counts[encoding] % _DISTINCT]
        content = original if isinstance(original, bytes) else _copy(original, number)
        suffix = "dcm" if encoding in TRANSFER_SYNTAXES else encoding
        (folder / f"{number:06d}.{suffix}").write_bytes(content)
        counts[encoding] += 1
        total += len(content)
    return GeneratedFiles(counts=dict(counts), bytes=total)


def phantom(size: Size, seed: int) -> NDArray[np.uint16]:
    """Draw a chest of 12 bits: dark lungs in a bright body on black air, soft edges, and grain."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : _COARSE[0] * 1j, -1 : 1 : _COARSE[1] * 1j]
    shift, heart = random.uniform(-0.03, 0.03), random.uniform(0.22, 0.34)

    def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float64]:
        distance = np.hypot((x - centre[0] - shift) / radii[0], (y - centre[1]) / radii[1])
        return np.asarray(1 / (1 + np.exp(12 * (distance - 1))))

    picture = 0.7 * ellipse((0, 0.3), (0.95, 1.3)) + 0.12 * y * ellipse((0, 0.3), (0.95, 1.3))
    for side in (-0.42, 0.42):
        picture -= 0.42 * ellipse((side, -0.05), (0.3, 0.62))
    picture = np.maximum(picture, 0.78 * ellipse((0, 0), (0.1, 1.2)))
    picture = np.maximum(picture, 0.74 * ellipse((0.12, 0.3), (heart, 0.3)))
    smooth = Image.fromarray(picture.astype(np.float32)).resize((size.columns, size.rows), Image.Resampling.BICUBIC)
    grain = random.standard_normal((size.rows, size.columns), np.float32)
    top = (1 << _BITS) - 1
    values: NDArray[np.float32] = np.clip(np.asarray(smooth) * top + _NOISE * grain, 0, top)
    return np.asarray(np.rint(values).astype(np.uint16))


def _order(count: int, mix: Mix) -> Iterator[FileEncoding]:
    """The encodings of all studies, each as often as its share says and as evenly spread as can be."""
    total, counts = sum(mix.values()), dict.fromkeys(mix, 0)
    for number in range(1, count + 1):
        encoding = max(mix, key=lambda candidate: number * mix[candidate] / total - counts[candidate])
        counts[encoding] += 1
        yield encoding


def _original(encoding: FileEncoding, size: Size, seed: int) -> bytes | Dataset:
    """A picture file, or a data set to be copied under other UIDs."""
    pixels, transfer_syntax = phantom(size, seed), TRANSFER_SYNTAXES.get(encoding)
    return _picture(pixels, encoding) if transfer_syntax is None else _dataset(pixels, transfer_syntax)


def _picture(pixels: NDArray[np.uint16], encoding: FileEncoding) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((pixels >> (_BITS - 8)).astype(np.uint8)).save(buffer, encoding.upper())
    return buffer.getvalue()


def _dataset(pixels: NDArray[np.uint16], transfer_syntax: uid.UID) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    attributes: dict[str, Any] = {
        "SOPClassUID": uid.ComputedRadiographyImageStorage,
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientName": "Phantom^Drawn",
        "PatientID": "PHANTOM",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": _BITS,
        "HighBit": _BITS - 1,
        "PixelRepresentation": 0,
        "WindowCenter": 1 << (_BITS - 1),
        "WindowWidth": 1 << _BITS,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    if transfer_syntax.is_compressed:
        dataset.compress(transfer_syntax, pixels, generate_instance_uid=False)
    return dataset


def _copy(dataset: Dataset, number: int) -> bytes:
    """File of a data set under UIDs of another study."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, uid.generate_uid(entropy_srcs=["cxreport bench", keyword, str(number)]))
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
