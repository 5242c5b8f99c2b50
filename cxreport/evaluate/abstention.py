"""How often the bundle warns of images or refuses them: chest radiographs, and what is none."""

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
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Grey, Study

METRICS = ("warned", "refused")
_ALTERED = 100
"""Images that are altered in each way."""
_BATCH = 32
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
    """Of images of one kind."""

    kind: str
    plausible: bool
    """Whether these are frontal chest radiographs, of which warnings and refusals are false alarms."""
    images: int
    shares: dict[str, Figure]
    """By the names of `METRICS`: warned or refused, and refused."""


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
    inputs = [network_input(np.ascontiguousarray(image), model.manifest.image_size) for image in images]
    encodings = [e for i in range(0, len(inputs), _BATCH) for e in encode(model, inputs[i : i + _BATCH])]
    distances = np.array([encoding.distance for encoding in encodings])
    beyond = ~(distances[:, None] <= [limits.warn, limits.refuse])
    shares = mean_statistics(METRICS, beyond.astype(float)).estimate(draw_studies(len(inputs), resamples))
    return AbstentionRates(kind, plausible, len(inputs), shares)


def abstain_on_altered(model: Model, pixels: NDArray[np.uint8], resamples: int) -> list[AbstentionRates]:
    """What can be made of some of the chest radiographs (N, S, S)."""
    some = pixels[:: -(-len(pixels) // _ALTERED)]
    random = np.random.default_rng(0)
    return [
        measure_abstention(model, kind, [alter(i, random) for i in some], resamples, plausible=kind in _PLAUSIBLE)
        for kind, alter in (_PLAUSIBLE | _IMPLAUSIBLE).items()
    ]


def abstain_on_files(model: Model, resamples: int) -> list[AbstentionRates]:
    """Real files, whatever their headers say."""
    found = []
    for kind, names in _FILES.items():
        paths = [Path(str(path)) for name in names if (path := get_testdata_file(name, download=False))]
        if paths:
            found.append(measure_abstention(model, kind, _read(model, paths), resamples, plausible=kind == _RADIOGRAPH))
    return found


def abstain_on_openi(model: Model, folder: Path, resamples: int) -> list[AbstentionRates]:
    """Frontal and lateral images of Open-I, as far as ``images/`` is there."""
    paths: dict[str, list[Path]] = {"Frontal": [], "Lateral": []}
    with (folder / "chexnet_predictions.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            path = folder / "images" / f"CXR{row['filename'].removesuffix('.dcm.png')}.png"
            if path.exists():
                paths[row["projection"]].append(path)
    return [
        measure_abstention(model, f"Open-I {name.lower()}", _read(model, some), resamples, plausible=name == "Frontal")
        for name, some in paths.items()
        if some
    ]


def _read(model: Model, paths: list[Path]) -> list[Grey]:
    """Read images as inference does, each for itself."""
    options = ReadOptions(force=True, side=model.manifest.image_size)
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
    """Squeezed to four fifths of the width, black at the sides."""
    return _in_black(image, len(image) * 4 // 5)


def _squeezed(image: Grey, _: np.random.Generator) -> Grey:
    """Squeezed to half the width, black at the sides."""
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
