"""Memory that frames take, against the limit of a process that reads: 16 bytes a pixel, and 256 MB for bands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import make_dataset, save
from numpy.typing import NDArray
from pydicom.pixels.processing import convert_color_space

from cxreport.reading.dicom.colour import displayed_colour
from cxreport.reading.grey import LUMINANCE, to_bytes

MEASURE = """
import re, sys
from pathlib import Path
import cxreport.reading.dicom.views
from cxreport.reading.study import ReadOptions, read_studies

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

for path in sys.argv[1:]:
    before = peak()
    (study,) = read_studies([Path(path)], ReadOptions(force=True, side=128))
    assert study.view, study
print(peak() - before)
"""


def colours(height: int, width: int, type_: str = "uint8") -> NDArray[np.integer]:
    white = np.iinfo(type_).max
    rows = np.linspace(0, white, height).astype(type_)[:, None, None]
    return np.broadcast_to(rows, (height, width, 3)).copy()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="takes peak memory in kB")
@pytest.mark.parametrize(
    ("type_", "photometric", "encoding"),
    [
        *(("uint8", "RGB", encoding) for encoding in ("explicit", "rle", "jpeg2000-lossless")),
        *(("uint8", "YBR_FULL", encoding) for encoding in ("explicit", "rle")),
        ("uint16", "RGB", "explicit"),
        ("uint16", "MONOCHROME2", "explicit"),
    ],
)
def test_a_frame_fits_the_limit(tmp_path: Path, type_: str, photometric: str, encoding: str) -> None:
    paths = []
    for name, (height, width) in (("small", (96, 80)), ("large", (4000, 2500))):
        pixels = colours(height, width, type_)
        if photometric == "MONOCHROME2":
            pixels = pixels[..., 0]
        paths.append(save(make_dataset(pixels, photometric=photometric, encoding=encoding), tmp_path / name))
    done = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) / 1024 / 10 < 16  # MB a megapixel; 48 of RGB and YBR before


@pytest.mark.parametrize("height", [3, 1100])
@pytest.mark.parametrize(("photometric", "bits"), [("RGB", 8), ("RGB", 16), ("YBR_FULL", 8), ("YBR_FULL_422", 8)])
def test_rows_at_a_time_make_the_grey_of_the_whole(photometric: str, bits: int, height: int) -> None:
    array = np.random.default_rng(1).integers(0, 2**bits, (height, 1000, 3), f"u{bits // 8}")
    rgb = array if photometric == "RGB" else convert_color_space(array, photometric, "RGB")
    whole = to_bytes(np.asarray(rgb @ (LUMINANCE / (2**bits - 1)), np.float64))
    display = displayed_colour(array, photometric, bits)
    np.testing.assert_array_equal(display.grey, whole)
    assert display.coloured


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_grey_pixels_of_three_channels_have_no_colour(photometric: str) -> None:
    array = colours(64, 64)
    if photometric == "YBR_FULL":
        array[..., 1:] = 128
    display = displayed_colour(array, photometric, 8)
    assert not display.coloured
    np.testing.assert_array_equal(display.grey, array[..., 0])
