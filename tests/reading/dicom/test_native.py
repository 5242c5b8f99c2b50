"""Native pixels averaged as they are read, and frames put into fragments: the same as by the plain way."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom import native
from cxreport.reading.dicom.codestream import has_too_many_scans
from cxreport.reading.dicom.pixel_data import encapsulated
from cxreport.reading.shrink import shrink

SIDE = 16
SHAPE = (2, 399, 301)
"""Frames, rows and columns, of which some remain where blocks are taken."""


def options(kind: str, stored: int) -> dict[str, Any]:
    pixels = np.dtype(kind)
    signed = int(pixels.kind == "i")
    allocated = 8 * pixels.itemsize
    image = {"rows": SHAPE[1], "columns": SHAPE[2], "samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2"}
    return image | {"bits_allocated": allocated, "bits_stored": stored, "pixel_representation": signed}


def pixels(kind: str, stored: int) -> NDArray[Any]:
    low = -(1 << stored - 1) if kind[1] == "i" else 0
    return np.random.default_rng(1).integers(low, low + (1 << stored), SHAPE).astype(kind)


KINDS = [("<u1", 8), ("<i1", 8), ("<u2", 8), ("<u2", 12), ("<u2", 16), ("<i2", 12), ("<i2", 16)]


@pytest.mark.parametrize(("kind", "stored"), KINDS)
@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("band_bytes", [1, 1 << 14, 1 << 18])
def test_frames_are_averaged_as_they_are_read(
    monkeypatch: pytest.MonkeyPatch, kind: str, stored: int, frame: int, band_bytes: int
) -> None:
    monkeypatch.setattr("cxreport.reading.shrink._BAND_BYTES", band_bytes)
    frames = pixels(kind, stored)
    stream = io.BytesIO(b"head" + frames.tobytes())
    stream.seek(4)
    means = native.shrunk_native(stream, frame, Dataset(), options(kind, stored), SIDE)
    assert means is not None
    np.testing.assert_array_equal(means, shrink(frames[frame], SIDE))


@pytest.mark.parametrize(
    ("stored", "side", "high_bit", "value"),
    [(12, None, None, 0), (12, 1000, None, 0), (12, SIDE, 15, 0), (12, SIDE, None, 1 << 12)],
    ids=["every pixel", "small", "moved up", "bits beside"],
)
def test_pixels_to_be_looked_at_one_by_one_are_left(
    stored: int, side: int | None, high_bit: int | None, value: int
) -> None:
    header = Dataset()
    if high_bit is not None:
        header.HighBit = high_bit
    frames = pixels("<u2", stored)
    frames[1, -1, -1] += value
    stream = io.BytesIO(b"head" + frames.tobytes())
    stream.seek(4)
    assert native.shrunk_native(stream, 1, header, options("<u2", stored), side) is None
    assert stream.tell() == 4


def test_a_file_that_ends_early_is_refused() -> None:
    stream = io.BytesIO(pixels("<u2", 12).tobytes()[:-1])
    with pytest.raises(UnreadableFileError, match="truncated"):
        native.shrunk_native(stream, 1, Dataset(), options("<u2", 12), SIDE)


@pytest.mark.parametrize("frame", [b"a", b"ab", b"\xff\xd8" * 1000 + b"\xff"])
def test_a_frame_is_encapsulated_as_pydicom_does(frame: bytes) -> None:
    expected = get_frame(encapsulate([frame]), 0, number_of_frames=1)
    assert get_frame(encapsulated(frame), 0, number_of_frames=1) == expected


@pytest.mark.parametrize(("content", "too_many"), [(b"\xff\xda", True), (b"\xff\xff\xda", True), (b"\xda\xff", False)])
def test_scans_are_counted_wherever_they_stand(content: bytes, too_many: bool) -> None:
    separator = b"\0"
    assert has_too_many_scans(b"\xff\xd8" + separator.join([content] * 101)) is too_many
    assert not has_too_many_scans(b"\xff\xd8" + separator.join([content] * 100))
    assert not has_too_many_scans(b"\xff")
