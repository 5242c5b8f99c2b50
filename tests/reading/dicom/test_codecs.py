"""The table of codecs: every row is read, named and documented."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import make_dataset, phantom, sample, save
from images import read
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.decoders.base import Decoder

from cxreport.errors import MissingCodecError, UnreadableFileError
from cxreport.reading.dicom import decoder_modules
from cxreport.reading.dicom.codecs import CODECS, Codec, codec_of, codec_rows, decoders_present
from cxreport.reading.dicom.decoder_modules import DECODER_MODULES

ENCAPSULATED_UNCOMPRESSED = uid.UID("1.2.840.10008.1.2.1.98")
ROWS = [(codec, transfer_syntax) for codec in CODECS for transfer_syntax in codec.transfer_syntaxes]
EACH_ROW = pytest.mark.parametrize(("codec", "transfer_syntax"), ROWS, ids=[name for _, name in ROWS])


# Every row


@EACH_ROW
def test_every_transfer_syntax_is_read(tmp_path: Path, codec: Codec, transfer_syntax: uid.UID) -> None:
    path = sample(transfer_syntax, tmp_path / "a")
    assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == transfer_syntax
    assert codec_of(transfer_syntax) is codec
    assert np.ptp(read(path)) > 100


@EACH_ROW
def test_every_missing_decoder_is_named(
    monkeypatch: pytest.MonkeyPatch, codec: Codec, transfer_syntax: uid.UID
) -> None:
    monkeypatch.setattr(Decoder, "is_available", False)
    with pytest.raises(MissingCodecError) as raised:
        codec.decoder(transfer_syntax)
    assert raised.value.message.startswith(transfer_syntax.name)
    assert (codec.package or "pylibjpeg[all]") in raised.value.hint
    assert not any(decoders_present().values())


@pytest.mark.parametrize("transfer_syntax", [transfer_syntax for _, transfer_syntax in ROWS])
def test_every_truncated_file_is_unreadable(tmp_path: Path, transfer_syntax: uid.UID) -> None:
    content = sample(transfer_syntax, tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(content[: len(content) * 4 // 5])
    with pytest.raises(UnreadableFileError):
        read(tmp_path / "b")


def test_decoders_present() -> None:
    present = decoders_present()
    assert list(present) == [codec.name for codec in CODECS]
    assert all(present.values())


def test_modules_of_decoders_are_those_of_each_row() -> None:
    plugins = {"pylibjpeg": "pylibjpeg", "jpeg_ls": "pyjpegls"}
    assert list(DECODER_MODULES) == [codec.name for codec in CODECS]
    for codec in CODECS:
        modules = DECODER_MODULES[codec.name]
        assert bool(codec.package) == bool(modules)
        for transfer_syntax in codec.transfer_syntaxes if modules else ():
            assert plugins[modules[0]] in codec.decoder(transfer_syntax).available_plugins


@pytest.mark.parametrize("module", sorted({name for names in DECODER_MODULES.values() for name in names}))
def test_pydicom_is_asked_where_a_module_of_decoders_is_missing(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    assert all(decoder_modules.decoders_present().values())
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(Decoder, "is_available", False)
    assert not any(decoder_modules.decoders_present().values())


def test_the_documentation_has_a_row_for_each() -> None:
    assert [row[0] for row in codec_rows()] == [codec.name for codec in CODECS]
    assert dict(zip(("JPEG 2000", "RLE"), [("pylibjpeg-openjpeg", "yes"), ("pydicom", "no")], strict=True)) == {
        name: (package, reduced) for name, _, package, reduced in codec_rows() if name in ("JPEG 2000", "RLE")
    }


def test_no_transfer_syntax_is_in_two_rows() -> None:
    assert len({transfer_syntax for _, transfer_syntax in ROWS}) == len(ROWS)


# What has no row


@pytest.mark.parametrize(
    ("transfer_syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
        ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"),
        ("1.2.840.10008.1.2.4.112", "JPEG XL"),
        ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)"),
        ("1.2.826.0.1.77777.9", "of an unknown kind"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, transfer_syntax: str, name: str) -> None:
    path = sample(uid.HTJ2KLossless, tmp_path / "a")
    as_written = b"1.2.840.10008.1.2.4.201\0"
    path.write_bytes(path.read_bytes().replace(as_written, transfer_syntax.encode().ljust(len(as_written), b"\0")))
    with pytest.raises(UnreadableFileError) as raised:
        read(path)
    assert raised.value.message == f"The transfer syntax is not supported: {name}."


# Encapsulated uncompressed (PS3.5 A.4.11); `test_views` compares single and several frames, 8 and 16 bits and RGB


def encapsulated_uncompressed(pixels: NDArray[Any], path: Path, value: bytes, **attributes: Any) -> Path:
    """Write frames, which are in a value of the pixel element already."""
    dataset = make_dataset(pixels, encoding="encapsulated", **attributes)
    dataset.PixelData = value
    dataset["PixelData"].VR = "OB"
    return save(dataset, path)


FRAMES = np.stack([phantom(95, 79), phantom(95, 79)[::-1], phantom(95, 79) // 2])
STACKS = {"16 bits": FRAMES, "8 bits, odd": (FRAMES // 16).astype("uint8"), "signed": FRAMES.astype("int16") - 2048}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("fragments", [1, 2, 5])
@pytest.mark.parametrize("has_offsets", [False, True])
@pytest.mark.parametrize("frame", [0, 1, 2])
def test_frames_in_several_fragments(
    tmp_path: Path, stack: NDArray[Any], fragments: int, has_offsets: bool, frame: int
) -> None:
    value = encapsulate([image.tobytes() for image in stack], fragments_per_frame=fragments, has_bot=has_offsets)
    path = encapsulated_uncompressed(stack, tmp_path / "a", value)
    expected = read(save(make_dataset(stack), tmp_path / "explicit"), frame)
    np.testing.assert_array_equal(read(path, frame), expected)
    np.testing.assert_array_equal(read(path, frame, side=8), read(tmp_path / "explicit", frame, side=8))


def test_fragments_that_end_like_a_jpeg_frame(tmp_path: Path) -> None:
    """Without offsets pydicom would look for the marker, and find two frames in the first."""
    stack = np.full((2, 8, 8), 7, "uint8")
    stack[:, 3, 6:] = stack[:, 7, 6:] = 0xFF, 0xD9
    stack[0, 0, 0], stack[1, 0, 0] = 0, 90
    value = encapsulate([image.tobytes() for image in stack], fragments_per_frame=2, has_bot=False)
    path = encapsulated_uncompressed(stack, tmp_path / "a", value)
    for frame in range(2):
        expected = read(save(make_dataset(stack), tmp_path / "explicit"), frame)
        np.testing.assert_array_equal(read(path, frame), expected)


def test_values_that_look_like_a_huge_codestream(tmp_path: Path) -> None:
    pixels = phantom(white=255, dtype="uint8")
    pixels[0, :9] = list(b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff")
    pixels[0, 9:11] = 0xFF
    path = save(make_dataset(pixels, encoding="encapsulated"), tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(save(make_dataset(pixels), tmp_path / "b")))


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_by_plane(tmp_path: Path, planar: int) -> None:
    channel = phantom(95, 79, white=255, dtype="uint8")
    pixels = np.stack([channel, channel // 2, 255 - channel], axis=-1)
    content = (np.moveaxis(pixels, -1, 0) if planar else pixels).tobytes()
    path = encapsulated_uncompressed(pixels, tmp_path / "a", encapsulate([content]), PlanarConfiguration=planar)
    np.testing.assert_array_equal(read(path), read(save(make_dataset(pixels), tmp_path / "b")))


def test_extended_offsets(tmp_path: Path) -> None:
    value, offsets, lengths = encapsulate_extended([image.tobytes() for image in FRAMES])
    tables = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    path = encapsulated_uncompressed(FRAMES, tmp_path / "a", value, **tables)
    for frame in range(3):
        expected = read(save(make_dataset(FRAMES), tmp_path / "explicit"), frame)
        np.testing.assert_array_equal(read(path, frame), expected)


@pytest.mark.parametrize("missing", [2, 500])
def test_a_frame_that_lacks_bytes_is_unreadable(tmp_path: Path, missing: int) -> None:
    pixels = phantom(96, 80)
    path = encapsulated_uncompressed(pixels, tmp_path / "a", encapsulate([pixels.tobytes()[:-missing]]))
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(path)


def test_a_frame_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    value = encapsulate([FRAMES[0].tobytes()])
    path = encapsulated_uncompressed(FRAMES, tmp_path / "a", value)
    np.testing.assert_array_equal(read(path), read(save(make_dataset(FRAMES), tmp_path / "b")))
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(path, 1)
