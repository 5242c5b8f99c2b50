"""Reading with fewer pixels does not change what the shipped bundle sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import make_dataset, real, save
from numpy.typing import NDArray
from PIL import Image

from cxreport.model.bundle import find_bundle
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Study

pytestmark = pytest.mark.slow
MOST = 0.02
SIZE = (2431, 2049)
"""Rows and columns; no block of pixels divides them."""


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(find_bundle(None), "cpu")


@pytest.fixture(scope="module")
def radiograph() -> NDArray[np.uint16]:
    """The real radiograph of pydicom-data as 12 bits, dark lungs."""
    stored = pydicom.dcmread(real("RG1_UNCR.dcm")).pixel_array.astype(np.float64)
    return np.rint((1 - stored / stored.max()) * 4095).astype(np.uint16)


def scaled(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """The same of `SIZE`, with the noise of a detector."""
    image = Image.fromarray(pixels.astype(np.float32)).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 20, SIZE)
    return np.clip(np.rint(np.asarray(image) + noise), 0, 4095).astype(np.uint16)


def moved(model: Model, path: Path, *, shrinks: bool = True) -> float:
    """How far the shortcut moves any probability."""
    side = model.manifest.image_size
    inputs = []
    sizes = []
    for options in (ReadOptions(), ReadOptions(side=side)):
        study = next(outcome for outcome in read_studies([path], options) if isinstance(outcome, Study))
        assert study.view is not None
        sizes.append(study.view.pixels.size)
        inputs.append(network_input(study.view.pixels, side))
    assert (sizes[1] < sizes[0] / 3) == shrinks
    full, shown = (np.array(list(encoding.tags.values())) for encoding in encode(model, inputs))
    return float(np.abs(full - shown).max())


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_UNCI.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm"])
def test_real_files(model: Model, name: str) -> None:
    assert moved(model, real(name)) <= MOST


@pytest.mark.parametrize("encoding", ["explicit", "rle", "jpeg2000-lossless"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": "2400", "WindowWidth": "3000"}], ids=["percentiles", "window"])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2", "signed", "8 bits"])
def test_made_files(
    tmp_path: Path,
    model: Model,
    radiograph: NDArray[np.uint16],
    encoding: str,
    window: dict[str, str],
    kind: str,
) -> None:
    pixels: NDArray[Any] = scaled(radiograph)
    offset, scale = 0, 1
    if kind == "MONOCHROME1":
        pixels = 4095 - pixels  # its lowest value is white
    if kind == "signed":
        pixels, offset = (pixels.astype(np.int32) - 2048).astype(np.int16), -2048
    if kind == "8 bits":
        pixels, scale = (pixels >> 4).astype(np.uint8), 16
    if window:
        window = {
            "WindowCenter": str((int(window["WindowCenter"]) + offset) / scale),
            "WindowWidth": str(int(window["WindowWidth"]) / scale),
        }
    dataset = make_dataset(
        pixels,
        encoding=encoding,
        bits_stored=8 if scale > 1 else 12,
        photometric=kind if kind.startswith("MONO") else None,
        **window,
    )
    assert moved(model, save(dataset, tmp_path / "a.dcm")) <= MOST


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.dcm"])
def test_pictures_and_jpeg(tmp_path: Path, model: Model, radiograph: NDArray[np.uint16], name: str) -> None:
    pixels = scaled(radiograph)
    if name in ("a.jpg", "a.dcm"):
        pixels = (pixels >> 4).astype(np.uint8)
    if name == "a.dcm":
        save(make_dataset(pixels, encoding="jpeg-baseline"), tmp_path / name)
    else:
        Image.fromarray(pixels).save(tmp_path / name)
    assert moved(model, tmp_path / name) <= MOST


def test_a_window_that_clips_most(tmp_path: Path, model: Model, radiograph: NDArray[np.uint16]) -> None:
    narrow = make_dataset(radiograph, bits_stored=12, WindowCenter="2400", WindowWidth="100")
    assert moved(model, save(narrow, tmp_path / "a.dcm"), shrinks=False) == 0
