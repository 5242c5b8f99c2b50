"""Abstention: shares of images that a bundle warns of or refuses, chest radiographs and others."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.data import get_testdata_file

from cxreport.evaluate.bootstrap import Figure, draw_studies, mean_statistics
from cxreport.evaluate.drafting import encode_images
from cxreport.model.session import Model
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Grey, Study

METRICS = ("warned", "refused")
_ALTERED = 100
"""Images that are altered in each way."""
_RADIOGRAPH = "real radiograph"
_FILES = {
    _RADIOGRAPH: ("RG1_UNCR.dcm",),
    "extremity": ("RG3_UNCR.dcm",),
    "CT": ("CT_small.dcm", "693_UNCR.dcm", "eCT_Supplemental.dcm"),
    "MR": ("MR_small.dcm", "MR2_UNCR.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm", "emri_small.dcm"),
    "ultrasound": ("US1_UNCR.dcm", "OBXXXX1A.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "gdcm-US-ALOKA-16.dcm"),
    "scintigraphy": ("JPEG-LL.dcm",),
}
"""Files of pydicom, and of pydicom-data, which the 'examples' extra brings."""


@dataclass(frozen=True)
class AbstentionRates:
    """Shares of images of one kind."""

    kind: str
    plausible: bool
    """True of frontal chest radiographs: warnings and refusals of these are false alarms."""
    images: int
    shares: dict[str, Figure]
    """Share by the names of `METRICS`: warned or refused, and refused."""


def measure_abstention(
    model: Model, kind: str, images: Iterable[Grey], resamples: int, *, plausible: bool = False
) -> AbstentionRates:
    """Compare the distances of images with the bundle's limits.

    Args:
        model: a loaded bundle.
        kind: what the images are.
        images: (H, W) each.
        resamples: of the intervals.
        plausible: whether they are frontal chest radiographs.
    """
    limits = model.manifest.typicality
    contiguous = (np.ascontiguousarray(image) for image in images)
    distances = np.array([encoding.distance for encoding in encode_images(model, contiguous)])
    alarms = ~(distances[:, None] <= [limits.warn, limits.refuse])
    shares = mean_statistics(METRICS, alarms.astype(float)).estimate(draw_studies(len(distances), resamples))
    return AbstentionRates(kind=kind, plausible=plausible, images=len(distances), shares=shares)


def abstain_on_altered(model: Model, pixels: NDArray[np.uint8], resamples: int) -> list[AbstentionRates]:
    """Measure alterations of chest radiographs (N, S, S), of at most `_ALTERED` of them."""
    originals = pixels[:: -(-len(pixels) // _ALTERED)]
    random = np.random.default_rng(0)
    return [
        measure_abstention(model, kind, [alter(i, random) for i in originals], resamples, plausible=kind in _PLAUSIBLE)
        for kind, alter in (_PLAUSIBLE | _IMPLAUSIBLE).items()
    ]


def abstain_on_files(model: Model, resamples: int) -> list[AbstentionRates]:
    """Measure real files, whatever their headers say."""
    rates = []
    for kind, names in _FILES.items():
        paths = [Path(str(path)) for name in names if (path := get_testdata_file(name, download=False))]
        if paths:
            images = _read(model, paths)
            rates.append(measure_abstention(model, kind, images, resamples, plausible=kind == _RADIOGRAPH))
    return rates


def abstain_on_openi(model: Model, folder: Path, resamples: int) -> list[AbstentionRates]:
    """Measure frontal and lateral images of Open-I, as far as ``images/`` is there."""
    paths: dict[str, list[Path]] = {"Frontal": [], "Lateral": []}
    with (folder / "chexnet_predictions.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            path = folder / "images" / f"CXR{row['filename'].removesuffix('.dcm.png')}.png"
            if path.exists():
                paths[row["projection"]].append(path)
    return [
        measure_abstention(model, f"Open-I {name.lower()}", _read(model, files), resamples, plausible=name == "Frontal")
        for name, files in paths.items()
        if files
    ]


def _read(model: Model, paths: list[Path]) -> list[Grey]:
    """Read images as inference does, each for itself."""
    options = ReadOptions(force=True).fitting(model.manifest.input_shape)
    outcomes = (outcome for path in paths for outcome in read_studies([path], options))
    return [s.view.pixels for s in outcomes if isinstance(s, Study) and s.view is not None]


Alteration = Callable[[Grey, np.random.Generator], Grey]


def _mirrored(image: Grey, _: np.random.Generator) -> Grey:
    return image[:, ::-1]


def _dimmed(image: Grey, _: np.random.Generator) -> Grey:
    return (64 + image // 2).astype(np.uint8)


def _tilted(image: Grey, _: np.random.Generator) -> Grey:
    return np.asarray(Image.fromarray(image).rotate(10, Image.Resampling.BILINEAR))


def _cropped(image: Grey, _: np.random.Generator) -> Grey:
    margin = len(image) // 20
    return image[margin:-margin, margin:-margin]


def _framed(image: Grey, _: np.random.Generator) -> Grey:
    """Squeeze to four fifths of the width, black at the sides."""
    return _in_black(image, len(image) * 4 // 5)


def _squeezed(image: Grey, _: np.random.Generator) -> Grey:
    """Squeeze to half the width, black at the sides."""
    return _in_black(image, len(image) // 2)


def _in_black(image: Grey, width: int) -> Grey:
    squeezed = Image.fromarray(image).resize((width, len(image)), Image.Resampling.BOX)
    return np.asarray(ImageOps.pad(squeezed, (len(image), len(image))))


def _quarter(image: Grey, _: np.random.Generator) -> Grey:
    return image[: len(image) // 2, : len(image) // 2]


def _turned(image: Grey, _: np.random.Generator) -> Grey:
    return np.rot90(image)


def _upside_down(image: Grey, _: np.random.Generator) -> Grey:
    return image[::-1, ::-1]


def _negative(image: Grey, _: np.random.Generator) -> Grey:
    return 255 - image


def _shuffled(image: Grey, random: np.random.Generator) -> Grey:
    return random.permutation(image.ravel()).reshape(image.shape)


def _noise(image: Grey, random: np.random.Generator) -> Grey:
    return random.integers(0, 256, image.shape, np.uint8)


def _flat(image: Grey, random: np.random.Generator) -> Grey:
    return np.full_like(image, random.integers(0, 256))


_PLAUSIBLE: dict[str, Alteration] = {
    "mirrored": _mirrored,
    "half the contrast": _dimmed,
    "tilted by 10 degrees": _tilted,
    "cropped by a tenth": _cropped,
    "black at the sides": _framed,
}
_IMPLAUSIBLE: dict[str, Alteration] = {
    "squeezed to half": _squeezed,
    "a quarter of it": _quarter,
    "turned by 90 degrees": _turned,
    "upside down": _upside_down,
    "negative": _negative,
    "pixels shuffled": _shuffled,
    "noise": _noise,
    "flat grey": _flat,
}
