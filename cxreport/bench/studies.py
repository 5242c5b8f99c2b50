"""Generated studies: drawings of chests in the encodings of archives, as many as are wanted."""

from __future__ import annotations

import enum
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

_DISTINCT = 3
"""Images per kind; the other studies are copies under other names and UIDs."""
_BITS = 12
_NOISE = 8.0
"""Standard deviation of the grain in stored values: lossless compression then gains what it gains on radiographs."""
_COARSE = (160, 128)


class Kind(enum.StrEnum):
    """Encodings of a file."""

    RAW = "raw"
    """DICOM, explicit little endian, as are the others: 12 bits in 16."""
    RLE = "rle"
    J2K = "j2k"
    """JPEG 2000, lossless."""
    JPEG_LS = "jpeg-ls"
    PNG = "png"
    """A picture of 8 bits."""
    JPEG = "jpeg"
    """A picture of 8 bits."""


SYNTAXES = {
    Kind.RAW: uid.ExplicitVRLittleEndian,
    Kind.RLE: uid.RLELossless,
    Kind.J2K: uid.JPEG2000Lossless,
    Kind.JPEG_LS: uid.JPEGLSLossless,
}
"""Transfer syntaxes of those that are DICOM."""
Mix = Mapping[Kind, float]


class Size(NamedTuple):
    """Of an image in pixels."""

    rows: int
    columns: int


SIZE = Size(2500, 2048)
"""Of a usual radiograph."""


@dataclass(frozen=True)
class Made:
    """What was written."""

    counts: dict[str, int]
    """Studies by kind."""
    bytes: int


def parse_mix(text: str) -> dict[Kind, float]:
    """Read shares, as ``raw=50,png=50``.

    Raises:
        UsageError: an unknown kind, or a share that is no positive number.
    """
    shares: dict[Kind, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            shares[Kind(name)] = float(share)
        except ValueError:
            raise UsageError(f"{part!r} is no share of a mix.", hint=f"Kinds: {', '.join(Kind)}.") from None
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
        raise UsageError(f"{text!r} is no size in pixels.", hint="For example: 2500x2048, height first.")
    return Size(int(rows), int(columns))


def write_studies(folder: Path, count: int, size: Size, mix: Mix) -> Made:
    """Write studies of one file each, the kinds well mixed in the order of their names.

    Args:
        folder: exists.
        count: of the studies.
        size: of the images.
        mix: shares, of any sum.
    """
    originals = {kind: [_original(kind, size, seed) for seed in range(_DISTINCT)] for kind in mix}
    counts: Counter[str] = Counter()
    total = 0
    for number, kind in enumerate(_order(count, mix)):
        original = originals[kind][counts[kind] % _DISTINCT]
        content = original if isinstance(original, bytes) else _copy(original, number)
        suffix = "dcm" if kind in SYNTAXES else kind
        (folder / f"{number:06d}.{suffix}").write_bytes(content)
        counts[kind] += 1
        total += len(content)
    return Made(dict(counts), total)


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


def _order(count: int, mix: Mix) -> Iterator[Kind]:
    """The kinds of all studies, each as often as its share says and as evenly spread as can be."""
    total, so_far = sum(mix.values()), dict.fromkeys(mix, 0)
    for number in range(1, count + 1):
        kind = max(mix, key=lambda kind: number * mix[kind] / total - so_far[kind])
        so_far[kind] += 1
        yield kind


def _original(kind: Kind, size: Size, seed: int) -> bytes | Dataset:
    """A file, or a data set to be copied under other UIDs."""
    pixels = phantom(size, seed)
    return _dataset(pixels, SYNTAXES[kind]) if kind in SYNTAXES else _picture(pixels, kind)


def _picture(pixels: NDArray[np.uint16], kind: Kind) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((pixels >> (_BITS - 8)).astype(np.uint8)).save(buffer, kind.upper())
    return buffer.getvalue()


def _dataset(pixels: NDArray[np.uint16], syntax: uid.UID) -> Dataset:
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
    if syntax.is_compressed:
        dataset.compress(syntax, pixels, generate_instance_uid=False)
    return dataset


def _copy(dataset: Dataset, number: int) -> bytes:
    """The file of a data set as another study."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, uid.generate_uid(entropy_srcs=["cxreport bench", keyword, str(number)]))
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
