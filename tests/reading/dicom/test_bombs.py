"""Files that say less than they hold: limits are for what is decoded. All are small, and limits lowered to match."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import encapsulated, make_dataset, phantom, save
from images import inspect, read
from PIL import Image
from pydicom import uid

from cxreport.errors import TooLargeError, UnreadableFileError
from cxreport.reading.dicom import codecs, codestream, file
from cxreport.reading.dicom.codestream import codestream_size, rle_is_excessive
from cxreport.reading.dicom.views import study_key

PIXELS = phantom(64, 48, white=255, dtype="uint8")


def jpeg(rows: int = 64, columns: int = 48, **settings: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom(rows, columns, white=255, dtype="uint8")).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


def with_size(content: bytes, rows: int, columns: int) -> bytes:
    """The same JPEG with another size in its frame header."""
    place = content.index(b"\xff\xc0")
    return content[: place + 5] + struct.pack(">HH", rows, columns) + content[place + 9 :]


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a decoder sees the frame."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    for name in ("as_array", "as_buffer"):
        monkeypatch.setattr(f"pydicom.pixels.decoders.base.Decoder.{name}", refuse)
    monkeypatch.setattr(codecs.Codec, "decode_reduced", lambda *_: None)


# JPEG


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (640, 48), (64, 480), (48, 64), (0, 48)])
@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLosslessSV1])
@pytest.mark.usefixtures("no_decoder")
def test_a_frame_of_another_size_than_the_header_says(tmp_path: Path, size: tuple[int, int], syntax: uid.UID) -> None:
    path = save(encapsulated(with_size(jpeg(), *size), syntax, PIXELS), tmp_path / "a.dcm")
    with pytest.raises(UnreadableFileError, match="another size"):
        read(path)


@pytest.mark.usefixtures("no_decoder")
def test_a_huge_frame_under_a_small_header(tmp_path: Path) -> None:
    path = save(encapsulated(with_size(jpeg(), 6400, 4800), uid.JPEGBaseline8Bit, PIXELS), tmp_path / "a.dcm")
    with pytest.raises(TooLargeError, match="megapixels"):
        read(path, max_megapixels=1)


SOI, DQT = b"\xff\xd8", b"\xff\xdb\x00\x04ab"
SOF = b"\xff\xc0\x00\x11\x08\x00\x40\x00\x30\x03"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (SOI + DQT + SOF, (64, 48)),
        (SOI + DQT + b"\xff\xff" + SOF, (64, 48)),
        (SOI + DQT + b"\x00" + SOF, None),
        (SOI + b"\xff\xd0" + SOF, None),
        (SOI + b"\xff\x01" + SOF, None),
        (SOI + b"\xff\xdb\x00\x01" + SOF, None),
        (SOI + DQT + SOF.replace(b"\x00\x40\x00\x30", b"\x00\x00\x00\x30"), None),
        (SOI + DQT + SOF.replace(b"\x00\x40\x00\x30", b"\x00\x40\x00\x00"), None),
        (SOI + b"\xff\xde" + SOF[2:] + SOF, None),
        (SOI + DQT + SOF.replace(b"\xff\xc0", b"\xff\xc5"), None),
        (SOI + DQT + SOF.replace(b"\xff\xc0", b"\xff\xcd"), None),
        (SOI + DQT, None),
    ],
    ids=[
        *("plain", "fill byte", "stray byte", "restart", "temporary", "no length", "rows left to DNL", "no columns"),
        *("hierarchical", "differential", "differential arithmetic", "no frame"),
    ],
)
@pytest.mark.usefixtures("no_decoder")
def test_a_size_that_is_not_certain_is_none(tmp_path: Path, content: bytes, size: tuple[int, int] | None) -> None:
    content += b"\0" * 20
    assert codestream_size(content) == size
    if size is None:
        path = save(encapsulated(content, uid.JPEGBaseline8Bit, PIXELS), tmp_path / "a.dcm")
        with pytest.raises(UnreadableFileError):
            read(path)


@pytest.mark.parametrize("kind", ["dicom", "picture"])
def test_a_jpeg_of_very_many_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    content = jpeg(progressive=True)
    scans = content.count(b"\xff\xda")
    path = tmp_path / "a"
    if kind == "picture":
        path.write_bytes(content)
    else:
        save(encapsulated(content, uid.JPEGBaseline8Bit, PIXELS), path)
    monkeypatch.setattr(codestream, "_MOST_SCANS", scans)
    assert read(path).shape == PIXELS.shape
    monkeypatch.setattr(codestream, "_MOST_SCANS", scans - 1)
    with pytest.raises(TooLargeError, match="scans"):
        read(path)


# RLE


def rle_frame(*segments: bytes) -> bytes:
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


RUN = b"\x81\x00"
"""128 zeros."""


@pytest.mark.parametrize("surplus", [1.5, 2.5, 100])
@pytest.mark.parametrize("harmless", [0, codestream._RLE_HARMLESS_BYTES])
def test_rle_that_expands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_decoder: None, surplus: float, harmless: int
) -> None:
    """A frame that decodes to a little more is left to the decoder; one that decodes to far more is not."""
    monkeypatch.setattr(codestream, "_RLE_HARMLESS_BYTES", harmless)
    if harmless:
        surplus *= 500  # so long that it is seen without a look at the runs
    frame = rle_frame(RUN * int(surplus * PIXELS.size / 128))
    monkeypatch.setattr("rle.rle.decode_segment", lambda _: pytest.fail("decoded") if surplus > 2 else b"")
    assert rle_is_excessive(frame, PIXELS.size) is (surplus > 2)
    if surplus > 2:
        path = save(encapsulated(frame, uid.RLELossless, PIXELS), tmp_path / "a.dcm")
        with pytest.raises(TooLargeError, match="decodes to more"):
            read(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_rle_of_noise_is_not_excessive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """The least compressible image is longer than its pixels."""
    monkeypatch.setattr(codestream, "_RLE_HARMLESS_BYTES", 0)
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (64, 48)).astype(dtype)
    assert np.ptp(read(save(make_dataset(noise, encoding="rle"), tmp_path / "a.dcm"))) > 200


# Headers


def with_sequence(path: Path, items: int) -> Path:
    """A file with a private sequence of so many empty items, of undefined length, before its Study Instance UID."""
    content = save(make_dataset(PIXELS), path).read_bytes()
    place = content.index(b"\x18\x00\x15\x00CS")
    sequence = b"\x09\x00\x01\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * items
    path.write_bytes(content[:place] + sequence + b"\xfe\xff\xdd\xe0\0\0\0\0" + content[place:])
    return path


def test_a_sequence_of_very_many_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_sequence(tmp_path / "a.dcm", 300)
    assert inspect(path).frames == 1
    monkeypatch.setattr(file, "_HEADER_READS", 400)
    with pytest.raises(TooLargeError, match="header is larger"):
        inspect(path)
    with path.open("rb") as stream:
        assert study_key(stream) == ("", "", "", "", False)


def test_a_header_of_very_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that are wanted count; a long one that nobody reads is skipped."""
    monkeypatch.setattr(file, "_HEADER_BYTES", 1 << 16)
    skipped = save(make_dataset(PIXELS, ImageComments="x" * 60_000, TextString="y" * 70_000), tmp_path / "a.dcm")
    assert inspect(skipped).frames == 1
    wanted = save(make_dataset(PIXELS, RedPaletteColorLookupTableData=b"\0" * 70_000), tmp_path / "b.dcm")
    with pytest.raises(TooLargeError, match="header is larger"):
        inspect(wanted)
