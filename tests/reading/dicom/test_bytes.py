"""Pixels that can be decoded, in files that are wrong about their bytes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import encapsulated, jpeg, jpeg_ls, lossless_jpeg, make_dataset, phantom, save
from images import inspect, read, rendering
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import generate_fragments

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.views import study_key

DEEP = phantom()
GREY = phantom(white=255, dtype="uint8")
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
WINDOW_OF_8 = {"WindowCenter": "128", "WindowWidth": "256"}


def plain(tmp_path: Path, pixels: NDArray[Any] = DEEP, stored: int | None = 12, **attributes: Any) -> NDArray[Any]:
    """The pixels as a file without a fault shows them."""
    return read(save(make_dataset(pixels, bits_stored=stored, **attributes), tmp_path / "plain"))


def restated(path: Path, old: uid.UID, new: uid.UID) -> Path:
    """Change the transfer syntax that a file states, and nothing else."""
    field = len(old) + len(old) % 2
    content = path.read_bytes()
    assert len(new) <= field
    path.write_bytes(content.replace(old.encode().ljust(field, b"\0"), new.encode().ljust(field, b"\0"), 1))
    return path


def stating(path: Path, old: uid.UID, new: uid.UID) -> Path:
    """The same for a transfer syntax of any length; that of group 2 is not asked."""
    fields = [len(syntax) + len(syntax) % 2 for syntax in (old, new)]
    before, after = (
        struct.pack("<HH2sH", 2, 0x10, b"UI", field) + syntax.encode().ljust(field, b"\0")
        for field, syntax in zip(fields, (old, new), strict=True)
    )
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))
    return path


# Byte order and the length of group 2


@pytest.mark.parametrize(
    ("encoding", "actual", "stated"),
    [
        ("explicit", uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
        ("big-endian", uid.ExplicitVRBigEndian, uid.ExplicitVRLittleEndian),
        ("big-endian", uid.ExplicitVRBigEndian, uid.ImplicitVRLittleEndian),
    ],
)
def test_the_data_set_says_its_byte_order(tmp_path: Path, encoding: str, actual: uid.UID, stated: uid.UID) -> None:
    path = save(make_dataset(DEEP, encoding=encoding, bits_stored=12, **WINDOW), tmp_path / "a")
    with path.open("rb") as stream:
        key = study_key(stream)
    restated(path, actual, stated)
    shown = rendering(path)
    np.testing.assert_array_equal(shown.pixels, plain(tmp_path, **WINDOW))
    assert any("endian" in change for change in shown.changes)
    with path.open("rb") as stream:
        assert study_key(stream) == key


def test_implicit_stated_as_big_endian(tmp_path: Path) -> None:
    path = save(make_dataset(DEEP, encoding="implicit", bits_stored=12, **WINDOW), tmp_path / "a")
    content = path.read_bytes()
    field = struct.pack("<HH2sH", 2, 0x10, b"UI", 18) + b"1.2.840.10008.1.2\0"
    longer = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.2\0"
    path.write_bytes(content.replace(field, longer, 1))
    np.testing.assert_array_equal(read(path), plain(tmp_path, **WINDOW))


@pytest.mark.parametrize("encoding", ["explicit", "implicit", "big-endian", "deflated", "jpeg2000-lossless"])
@pytest.mark.parametrize("length", [None, 0, 20, 5000])
def test_group_2_ends_where_it_ends(tmp_path: Path, encoding: str, length: int | None) -> None:
    path = save(make_dataset(DEEP, encoding=encoding, bits_stored=12, **WINDOW), tmp_path / "a")
    content = path.read_bytes()
    assert content[132:140] == struct.pack("<HH2sH", 2, 0, b"UL", 4)
    group_length = b"" if length is None else content[132:140] + struct.pack("<L", length)
    path.write_bytes(content[:132] + group_length + content[144:])
    np.testing.assert_array_equal(read(path), plain(tmp_path, **WINDOW))


@pytest.mark.parametrize("kind", ["header of zlib", "header of zlib, fast", "not deflated"])
def test_a_deflated_data_set_is_what_it_is(tmp_path: Path, kind: str) -> None:
    path = save(make_dataset(DEEP, encoding="deflated", bits_stored=12, **WINDOW), tmp_path / "a")
    content = path.read_bytes()
    start = 144 + struct.unpack("<L", content[140:144])[0]
    data = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    bodies = {"header of zlib": zlib.compress(data), "header of zlib, fast": zlib.compress(data, 1)}
    path.write_bytes(content[:start] + bodies.get(kind, data))
    shown = rendering(path)
    np.testing.assert_array_equal(shown.pixels, plain(tmp_path, **WINDOW))
    assert any("deflated" in change for change in shown.changes) is (kind == "not deflated")
    with path.open("rb") as stream:
        key = study_key(stream)
    assert key is not None
    assert key.study


# Fragments


TABLES = {
    "none": b"",
    "beyond": struct.pack("<L", 99),
    "several": struct.pack("<3L", 0, 7, 9),
    "zeros": bytes(8),
    "odd": b"\0\0\0\0\1\0",
}


def fragmented(frame: bytes, pieces: int, table: bytes, path: Path, **attributes: Any) -> Path:
    """Write one JPEG frame in fragments behind an offset table."""
    dataset = encapsulated(frame, uid.JPEGBaseline8Bit, GREY, **attributes)
    length = -(-len(frame) // pieces // 2) * 2
    parts = [frame[start : start + length] for start in range(0, len(frame), length)]
    parts = [table, *(part + bytes(len(part) % 2) for part in parts)]
    dataset.PixelData = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return save(dataset, path)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("side", [8, None])
def test_one_frame_has_all_fragments(tmp_path: Path, table: bytes, pieces: int, side: int | None) -> None:
    path = fragmented(jpeg(GREY), pieces, table, tmp_path / "a")
    whole = save(encapsulated(jpeg(GREY), uid.JPEGBaseline8Bit, GREY), tmp_path / "b")
    np.testing.assert_array_equal(read(path, side=side), read(whole, side=side))


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000"])
def test_a_frame_without_an_offset_table(tmp_path: Path, pieces: int, codec: str) -> None:
    dataset = make_dataset(GREY, encoding="jpeg-baseline" if codec == "jpeg" else "jpeg2000-lossless", **WINDOW_OF_8)
    expected = read(save(dataset, tmp_path / "b"))
    frame = b"".join(list(generate_fragments(dataset.PixelData))[1:])
    length = -(-len(frame) // pieces // 2) * 2
    parts = [frame[start : start + length] for start in range(0, len(frame), length)]
    dataset.PixelData = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a")), expected)


def test_one_frame_with_wrong_extended_offsets(tmp_path: Path) -> None:
    tables = {"ExtendedOffsetTable": struct.pack("<Q", 999), "ExtendedOffsetTableLengths": struct.pack("<Q", 7)}
    path = fragmented(jpeg(GREY), 1, b"", tmp_path / "a", **tables)
    np.testing.assert_array_equal(read(path), read(fragmented(jpeg(GREY), 1, b"", tmp_path / "b")))


@pytest.mark.parametrize("frame", [0, 1])
def test_as_many_fragments_as_frames(tmp_path: Path, frame: int) -> None:
    images = [GREY, GREY[::-1]]
    dataset = make_dataset(np.stack(images), encoding="jpeg-baseline")
    parts = [struct.pack("<2L", 0, 77), *map(jpeg, images)]
    parts = [part + bytes(len(part) % 2) for part in parts]
    dataset.PixelData = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    dataset["PixelData"].is_undefined_length = True
    path = save(dataset, tmp_path / "a")
    expected = save(make_dataset(np.stack(images), encoding="jpeg-baseline"), tmp_path / "b")
    np.testing.assert_array_equal(read(path, frame), read(expected, frame))


def test_frames_that_the_header_does_not_count_stay_apart(tmp_path: Path) -> None:
    stack = np.stack([DEEP, DEEP[::-1]])
    dataset = make_dataset(stack, encoding="rle", bits_stored=12)
    del dataset.NumberOfFrames
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a")), plain(tmp_path))


# Encapsulated data under another transfer syntax


FRAMES: dict[str, tuple[uid.UID, bytes]] = {
    "JPEG Baseline": (uid.JPEGBaseline8Bit, jpeg(GREY)),
    "JPEG Lossless": (uid.JPEGLossless, lossless_jpeg(GREY, 8)),
    "JPEG-LS": (uid.JPEGLSLossless, jpeg_ls(GREY, 8)),
    "JPEG 2000": (uid.JPEG2000Lossless, b""),
    "RLE": (uid.RLELossless, b""),
    "Encapsulated Uncompressed": (uid.UID("1.2.840.10008.1.2.1.98"), GREY.tobytes()),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("stated", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("side", [8, None])
def test_encapsulated_data_is_what_it_says(tmp_path: Path, name: str, stated: uid.UID, side: int | None) -> None:
    syntax, frame = FRAMES[name]
    encodings = {"JPEG 2000": "jpeg2000-lossless", "RLE": "rle"}
    dataset = make_dataset(GREY, encoding=encodings[name]) if name in encodings else encapsulated(frame, syntax, GREY)
    path = save(dataset, tmp_path / "a")
    expected = read(path, side=side)
    shown = rendering(restated(path, syntax, stated), side=side)
    np.testing.assert_array_equal(shown.pixels, expected)
    (change,) = shown.changes
    assert name in change
    assert stated.name in change


@pytest.mark.parametrize("stated", [uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGLSLossless])
def test_a_frame_of_another_codec(tmp_path: Path, stated: uid.UID) -> None:
    path = save(encapsulated(lossless_jpeg(GREY, 8), uid.JPEGLosslessSV1, GREY), tmp_path / "a")
    shown = rendering(restated(path, uid.JPEGLosslessSV1, stated))
    np.testing.assert_array_equal(shown.pixels, plain(tmp_path, GREY, 8))
    assert "JPEG Lossless" in shown.changes[0]


@pytest.mark.parametrize("stated", [uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGLSLossless, uid.JPEGBaseline8Bit])
@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("side", [8, None])
def test_native_pixels_under_a_syntax_of_fragments(
    tmp_path: Path, stated: uid.UID, frame: int, side: int | None
) -> None:
    images = np.stack([DEEP, DEEP[::-1]])
    path = save(make_dataset(images, encoding="explicit", bits_stored=12, **WINDOW), tmp_path / "a")
    expected = read(path, frame, side=side)
    stating(path, uid.ExplicitVRLittleEndian, stated)
    np.testing.assert_array_equal(read(path, frame, side=side), expected)
    assert any("Explicit VR Little Endian" in change for change in rendering(path).changes)


@pytest.mark.parametrize("stated", [uid.JPEG2000Lossless, uid.RLELossless])
def test_truncated_native_pixels_under_a_syntax_of_fragments(tmp_path: Path, stated: uid.UID) -> None:
    path = save(make_dataset(DEEP, encoding="explicit", bits_stored=12), tmp_path / "a")
    stating(path, uid.ExplicitVRLittleEndian, stated)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableFileError, match="truncated"):
        inspect(path)


def test_encapsulated_data_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    path = save(encapsulated(bytes(range(1, 65)), uid.JPEGLosslessSV1, GREY), tmp_path / "a")
    restated(path, uid.JPEGLosslessSV1, uid.ExplicitVRLittleEndian)
    with pytest.raises(UnreadableFileError, match="encapsulated, but the transfer syntax is Explicit VR Little Endian"):
        read(path)


def test_truncated_encapsulated_data_under_a_native_syntax(tmp_path: Path) -> None:
    path = save(encapsulated(jpeg(GREY), uid.JPEGBaseline8Bit, GREY), tmp_path / "a")
    restated(path, uid.JPEGBaseline8Bit, uid.ExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableFileError, match="truncated"):
        inspect(path)


# Depth of frames


@pytest.mark.parametrize("side", [8, None])
@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (uid.JPEGBaseline8Bit, jpeg(GREY)),
        (uid.JPEGExtended12Bit, jpeg(GREY)),
        (uid.JPEGLosslessSV1, lossless_jpeg(GREY, 8)),
        (uid.JPEGLossless, lossless_jpeg(GREY, 8, predictor=6)),
        (uid.JPEGLSLossless, jpeg_ls(GREY, 8)),
    ],
    ids=["baseline", "extended", "lossless-sv1", "lossless", "ls"],
)
@pytest.mark.parametrize("stored", [8, 12, 16])
def test_the_frame_says_how_deep_it_is(
    tmp_path: Path, syntax: uid.UID, frame: bytes, stored: int, side: int | None
) -> None:
    path = save(encapsulated(frame, syntax, GREY.astype("uint16"), bits_stored=stored), tmp_path / "a")
    expected = save(encapsulated(frame, syntax, GREY), tmp_path / "b")
    np.testing.assert_array_equal(read(path, side=side), read(expected, side=side))


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("side", [8, None])
def test_rle_of_bytes_where_16_bits_are_allocated(tmp_path: Path, kind: str, side: int | None) -> None:
    pixels = (GREY.astype("int16") - 128 * (kind == "int8")).astype(kind)
    path = save(make_dataset(pixels, encoding="rle"), tmp_path / "a")
    expected = read(path, side=side)
    path = save(make_dataset(pixels, encoding="rle", BitsAllocated=16), tmp_path / "b")
    np.testing.assert_array_equal(read(path, side=side), expected)


def test_a_frame_deeper_than_the_header_has_room_for(tmp_path: Path) -> None:
    path = save(encapsulated(lossless_jpeg(DEEP, 12), uid.JPEGLosslessSV1, GREY), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path))


def test_values_of_less_depth_than_the_frame(tmp_path: Path) -> None:
    path = save(encapsulated(lossless_jpeg(DEEP, 16), uid.JPEGLosslessSV1, DEEP, bits_stored=12), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path))


# JPEG lossless


UNSIGNED = [(precision, predictor, False) for precision in (8, 10, 12, 14, 15, 16) for predictor in range(1, 8)]
SIGNED = [(precision, predictor, True) for precision in (8, 10, 12, 14) for predictor in range(1, 8)]


@pytest.mark.parametrize(("precision", "predictor", "as_signed"), [*UNSIGNED, *SIGNED, (16, 1, True), (16, 4, True)])
def test_jpeg_lossless_is_exact(tmp_path: Path, precision: int, predictor: int, as_signed: bool) -> None:
    pixels = phantom(31, 26, white=(1 << precision) - 1, dtype="uint8" if precision == 8 else "uint16")
    frame = lossless_jpeg(pixels, precision, predictor=predictor, as_signed=as_signed)
    dataset = encapsulated(frame, uid.JPEGLossless, pixels, bits_stored=precision)
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a")), plain(tmp_path, pixels, precision))


@pytest.mark.parametrize(("precision", "shift"), [(8, 1), (8, 3), (12, 2), (16, 4)])
@pytest.mark.parametrize("as_signed", [False, True])
def test_jpeg_lossless_with_a_point_transform(tmp_path: Path, precision: int, shift: int, as_signed: bool) -> None:
    pixels = phantom(31, 26, white=(1 << precision) - 1, dtype="uint8" if precision == 8 else "uint16")
    frame = lossless_jpeg(pixels, precision, as_signed=as_signed, shift=shift)
    dataset = encapsulated(frame, uid.JPEGLossless, pixels, bits_stored=precision)
    expected = plain(tmp_path, pixels >> shift << shift, precision)
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a")), expected)


@pytest.mark.parametrize("precision", [12, 16])
def test_jpeg_lossless_of_signed_pixels(tmp_path: Path, precision: int) -> None:
    signed = DEEP.astype("int16") - 2048
    frame = lossless_jpeg(signed.view("uint16") & ((1 << precision) - 1), precision)
    path = save(encapsulated(frame, uid.JPEGLosslessSV1, signed, bits_stored=12), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path, signed))


def test_jpeg_lossless_that_no_decoder_reads_is_refused(tmp_path: Path) -> None:
    pixels = phantom(31, 26, white=(1 << 15) - 1)
    path = save(encapsulated(lossless_jpeg(pixels, 15), uid.JPEGLossless, pixels, bits_stored=15), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path, pixels, 15))
    frame = lossless_jpeg(pixels, 15, predictor=4, as_signed=True)
    with pytest.raises(UnreadableFileError, match="15 bits with signed samples"):
        read(save(encapsulated(frame, uid.JPEGLossless, pixels, bits_stored=15), tmp_path / "b"))


@pytest.mark.parametrize("predictor", [5, 6, 7])
@pytest.mark.parametrize("as_signed", [False, True])
def test_signed_jpeg_lossless_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, predictor: int, as_signed: bool
) -> None:
    pixels = phantom(31, 26, white=(1 << 16) - 1)
    frame = lossless_jpeg(pixels, 16, predictor=predictor, as_signed=as_signed)
    path = save(encapsulated(frame, uid.JPEGLossless, pixels.view("int16"), bits_stored=16), tmp_path / "a")
    with pytest.raises(UnreadableFileError, match="two ways"):
        read(path)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("as_signed", [False, True])
@pytest.mark.parametrize("is_negative", [False, True])
def test_signed_jpeg_lossless_of_one_sign_is_exact(
    tmp_path: Path, predictor: int, as_signed: bool, is_negative: bool
) -> None:
    signed = (phantom(31, 26, white=32767).astype("int32") - 32768 * is_negative).astype("int16")
    frame = lossless_jpeg(signed.view("uint16"), 16, predictor=predictor, as_signed=as_signed)
    path = save(encapsulated(frame, uid.JPEGLossless, signed, bits_stored=16), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path, signed, 16))


# JPEG-LS


@pytest.mark.parametrize("zeros", [1, 2, 5])
@pytest.mark.parametrize("pixels", [DEEP, GREY], ids=["12 bits", "8 bits"])
def test_jpeg_ls_with_zeros_before_its_end(tmp_path: Path, zeros: int, pixels: NDArray[Any]) -> None:
    stored = 12 if pixels is DEEP else 8
    frame = jpeg_ls(pixels, stored)
    end = frame.rindex(b"\xff\xd9")
    frame = frame[:end] + bytes(zeros) + frame[end:]
    path = save(encapsulated(frame, uid.JPEGLSLossless, pixels, bits_stored=stored), tmp_path / "a")
    np.testing.assert_array_equal(read(path), plain(tmp_path, pixels, stored))


@pytest.mark.parametrize("lost", [3, 40])
def test_jpeg_ls_that_lacks_data_stays_unreadable(tmp_path: Path, lost: int) -> None:
    frame = jpeg_ls(DEEP, 12)
    end = frame.rindex(b"\xff\xd9")
    frame = frame[: end - lost] + bytes(2) + frame[end:]
    path = save(encapsulated(frame, uid.JPEGLSLossless, DEEP, bits_stored=12), tmp_path / "a")
    with pytest.raises(UnreadableFileError):
        read(path)
