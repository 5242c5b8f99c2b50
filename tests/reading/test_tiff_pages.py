"""Pages of TIFF files, and the memory that deep and transparent pictures take."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from images import inspect, read, sixteen_bit_png
from PIL import Image

from cxreport.errors import TooLargeError
from cxreport.reading.pictures import tiff_pages
from cxreport.reading.pictures.tiff_pages import count_pages

PAGE = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))


def tiff(path: Path, pages: int, **settings: object) -> Path:
    PAGE.save(path, "TIFF", save_all=True, append_images=[PAGE] * (pages - 1), **settings)
    return path


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 9])
def test_pages_are_counted(tmp_path: Path, pages: int, big: bool) -> None:
    assert inspect(tiff(tmp_path / "a.tif", pages, big_tiff=big)).frames == pages


def test_very_many_pages_are_refused_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "a.tif", 9)
    monkeypatch.setattr(tiff_pages, "MOST_PAGES", 8)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.n_frames", property(lambda _: pytest.fail("Pillow counts")))
    with pytest.raises(TooLargeError, match="more than 8 pages"):
        read(path)
    monkeypatch.setattr(tiff_pages, "MOST_PAGES", 9)
    assert read(path).shape == (8, 8)


@pytest.mark.parametrize("next_place", [8, 10**9, 2**32 - 1], ids=["loop", "outside", "last"])
def test_a_chain_that_leads_astray_ends(tmp_path: Path, next_place: int) -> None:
    content = struct.pack("<2sHLH", b"II", 42, 8, 1) + b"\0" * 12 + struct.pack("<L", next_place)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with path.open("rb") as stream:
        assert count_pages(stream) == 1


MEASURE = """
import re, sys
from pathlib import Path
from cxreport.reading.pictures import picture
from cxreport.reading.study import ReadOptions, read_studies

def peak():  # not ru_maxrss, which begins with that of the process that started this one
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

options = ReadOptions(force=True, side=128, colour=len(sys.argv) > 3)
list(read_studies([Path(sys.argv[1])], options))
before = peak()
list(read_studies([Path(sys.argv[2])], options))
print(peak() - before)
"""


def peak_growth(small: Path, large: Path, *flags: str) -> float:
    """Megabytes that reading a large picture takes beyond a small one."""
    command = [sys.executable, "-c", MEASURE, small, large, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="takes peak memory in kB")
@pytest.mark.parametrize("mode", ["F", "I", "RGBA", "LA", "L"])
def test_memory_that_a_megapixel_takes(tmp_path: Path, mode: str) -> None:
    for name, size in (("small", (40, 25)), ("large", (4000, 2500))):
        image = Image.linear_gradient("L").resize(size).convert(mode)
        image.save(tmp_path / name, "TIFF" if mode in "FI" else "PNG", compression="tiff_adobe_deflate")
    assert peak_growth(tmp_path / "small", tmp_path / "large") / 10 < 12  # of MB; 31 of floats and 16 of RGBA before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="takes peak memory in kB")
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)], ids=["RGB", "RGBA", "LA"])
def test_memory_that_a_megapixel_of_sixteen_bits_takes(tmp_path: Path, kind: int, channels: int, colour: bool) -> None:
    """A process that reads has 16 bytes a pixel, and 256 MB for bands among others."""
    for name, (height, width) in (("small", (40, 25)), ("large", (4000, 2500))):
        rows = np.linspace(0, 60000, height).astype(np.uint16)[:, None, None]
        shades = np.arange(channels, dtype=np.uint16) * 1000 if colour else np.zeros(channels, np.uint16)
        samples = np.broadcast_to(rows, (height, width, channels)) + shades
        (tmp_path / name).write_bytes(sixteen_bit_png(samples, kind, 1))
    flags = ["colour"] if colour else []
    assert (
        peak_growth(tmp_path / "small", tmp_path / "large", *flags) / 10 < 18
    )  # of MB; 27 of RGB and 46 of RGBA before
