from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import phantom
from images import inspect, read, rendering, sixteen_bit_png
from numpy.typing import NDArray
from PIL import Image

from cxreport.errors import TooLargeError, UnreadableFileError
from cxreport.reading.grey import STRETCHED
from cxreport.types import Position

GREY = phantom(white=255, dtype="uint8")


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_eight_bit_modes_keep_grey_as_it_is(tmp_path: Path, name: str, mode: str) -> None:
    path = saved(Image.fromarray(GREY).convert(mode), tmp_path / name)
    np.testing.assert_array_equal(read(path), GREY)


def test_one_bit(tmp_path: Path) -> None:
    grey = read(saved(Image.fromarray(GREY > 100), tmp_path / "a.png"))
    np.testing.assert_array_equal(grey, np.where(GREY > 100, 255, 0))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path: Path, mode: str, progressive: bool) -> None:
    path = saved(Image.fromarray(GREY).convert(mode), tmp_path / "a.jpg", quality=95, progressive=progressive)
    assert np.abs(read(path).astype(int) - GREY).mean() < 3


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], "uint8")
    assert read(saved(Image.fromarray(colours), tmp_path / "a.png")).tolist() == [[76, 150, 29]]


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], "uint8"), "L").convert("P")
    image.putpalette([255, 255, 255, 10, 10, 10])
    assert read(saved(image, tmp_path / "a.png")).tolist() == [[255, 10]]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_lies_over_black(tmp_path: Path, mode: str) -> None:
    image = Image.new("L", (2, 1), 200).convert(mode)
    image.putalpha(Image.fromarray(np.array([[0, 255]], "uint8")))
    assert read(saved(image, tmp_path / "a.png")).tolist() == [[0, 200]]


@pytest.mark.parametrize("white", [65535, 4095, 1023])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "big-endian.tif"])
def test_sixteen_bits_are_windowed_whatever_their_depth(tmp_path: Path, white: int, name: str) -> None:
    deep = phantom(white=white)
    path = tmp_path / name
    if name.startswith("big"):
        path.write_bytes(_big_endian_tiff(deep))
    else:
        saved(Image.fromarray(deep), path)
    grey = read(path)
    assert grey.min() == 0
    assert grey.max() == 255
    assert np.corrcoef(grey.ravel(), deep.ravel())[0, 1] > 0.999


LOW = 40 + phantom(white=150, dtype="uint8")
"""8 bits that leave a part of the range unused."""
SIDES = pytest.mark.parametrize("side", [8, None])


@SIDES
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("factor", [256, 257])
def test_sixteen_bits_that_are_filled_are_shown_as_they_are(
    tmp_path: Path, name: str, factor: int, side: int | None
) -> None:
    shown = rendering(saved(Image.fromarray(LOW.astype("uint16") * factor), tmp_path / name), side=side)
    plain = read(saved(Image.fromarray(LOW), tmp_path / f"plain-{name}"), side=side)
    assert np.abs(shown.pixels.astype(int) - plain).max() <= (1 if side or factor == 256 else 0)
    assert shown.changes == ()


@pytest.mark.parametrize("white", [1023, 4095, 16383])
def test_sixteen_bits_that_are_not_are_stretched(tmp_path: Path, white: int) -> None:
    assert rendering(saved(Image.fromarray(phantom(white=white)), tmp_path / "a.png")).changes == (STRETCHED,)


CHANNELS = {"RGB": (2, [0, 0, 0]), "RGBA": (6, [0, 0, 0, 1]), "LA": (4, [0, 1])}


@SIDES
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("white", [65535, 4095, 1023])
@pytest.mark.parametrize("orientation", [1, 6])
def testsixteen_bit_png_with_channels(
    tmp_path: Path, channels: str, white: int, orientation: int, side: int | None
) -> None:
    deep = phantom(white=white)
    kind, sources = CHANNELS[channels]
    stored = np.ascontiguousarray(np.rot90(deep)) if orientation == 6 else deep
    samples = np.stack([stored, np.full_like(stored, 65535)])[sources]
    (tmp_path / "a.png").write_bytes(sixteen_bit_png(np.moveaxis(samples, 0, -1), kind, orientation))
    shown = rendering(tmp_path / "a.png", side=side)
    expected = rendering(saved(Image.fromarray(deep), tmp_path / "b.png"), side=side)
    np.testing.assert_array_equal(shown.pixels, expected.pixels)
    turned = ("Turned to stand upright, by its EXIF orientation.",) if orientation == 6 else ()
    assert shown.changes == (*expected.changes, *turned)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_with_channels_are_turned_as_grey_is(tmp_path: Path, channels: str, orientation: int) -> None:
    deep = phantom(white=65535)[:, :40]
    kind, sources = CHANNELS[channels]
    samples = np.stack([deep, np.full_like(deep, 65535)], axis=-1)
    (tmp_path / "a.png").write_bytes(sixteen_bit_png(samples[..., sources], kind, orientation))
    (tmp_path / "b.png").write_bytes(sixteen_bit_png(samples[..., :1], 0, orientation))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))


@pytest.mark.parametrize(("orientation", "is_last"), [(None, False), (6, True)], ids=["none", "behind the pixels"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_places_of_the_orientation_in_a_png(tmp_path: Path, kind: str, orientation: int | None, is_last: bool) -> None:
    deep = phantom()
    stored = np.ascontiguousarray(np.rot90(deep)) if orientation == 6 else deep
    samples = np.stack([stored] * (3 if kind == "colour" else 1), axis=-1)
    content = sixteen_bit_png(samples, 2 if kind == "colour" else 0, orientation, orientation_is_last=is_last)
    (tmp_path / "a.png").write_bytes(content)
    shown = rendering(tmp_path / "a.png")
    np.testing.assert_array_equal(shown.pixels, read(saved(Image.fromarray(deep), tmp_path / "b.png")))
    assert any("EXIF" in change for change in shown.changes) == (orientation == 6)


def test_transparency_of_sixteen_bits_lies_over_black(tmp_path: Path) -> None:
    samples = np.array([[[65535, 65535], [65535, 32768], [65535, 0], [0, 65535]]], "uint16")
    (tmp_path / "a.png").write_bytes(sixteen_bit_png(samples, 4, 1))
    assert read(tmp_path / "a.png").tolist() == [[255, 128, 0, 0]]


@pytest.mark.parametrize("colour", [False, True])
def test_sixteen_bit_colour(tmp_path: Path, colour: bool) -> None:
    channels = np.stack([phantom(), phantom()[:, ::-1] // 2, phantom()[::-1] // 3], axis=-1)
    (tmp_path / "a.png").write_bytes(sixteen_bit_png(channels, 2, 1))
    grey = read(tmp_path / "a.png", colour=colour)
    assert grey.shape == (channels.shape if colour else channels.shape[:2])
    expected = channels if colour else channels @ np.array([0.299, 0.587, 0.114])
    assert np.corrcoef(grey.ravel(), expected.ravel())[0, 1] > 0.999
    assert np.ptp(grey) == 255


@pytest.mark.parametrize("name", ["raw.tif", "big-endian.tif"])
def test_sixteen_bit_tiff_with_channels(tmp_path: Path, name: str) -> None:
    deep = phantom()
    order = ">" if name.startswith("big") else "<"
    (tmp_path / name).write_bytes(_rgb_tiff(np.stack([deep] * 3, axis=-1), order))
    np.testing.assert_array_equal(read(tmp_path / name), read(saved(Image.fromarray(deep), tmp_path / "b.png")))


def test_sixteen_bit_tiff_with_channels_is_turned(tmp_path: Path) -> None:
    deep = phantom()
    stored = np.ascontiguousarray(np.rot90(deep))
    (tmp_path / "a.tif").write_bytes(_rgb_tiff(np.stack([stored] * 3, axis=-1), "<", orientation=6))
    shown = rendering(tmp_path / "a.tif")
    np.testing.assert_array_equal(shown.pixels, read(saved(Image.fromarray(deep), tmp_path / "b.png")))
    assert any("EXIF" in change for change in shown.changes)


def test_truncated_sixteen_bit_colour(tmp_path: Path) -> None:
    content = sixteen_bit_png(np.stack([phantom()] * 3, axis=-1), 2, 1)
    (tmp_path / "a.png").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UnreadableFileError):
        read(tmp_path / "a.png")


def test_sixteen_bit_tiff_with_white_at_zero(tmp_path: Path) -> None:
    deep = phantom(white=65535)
    grey = read(saved(Image.fromarray(deep), tmp_path / "a.tif", tiffinfo={262: 0}))
    plain = read(saved(Image.fromarray(deep), tmp_path / "b.tif"))
    if Image.open(tmp_path / "a.tif").tag_v2[262] != 0:
        pytest.skip("this Pillow does not write WhiteIsZero")
    np.testing.assert_array_equal(grey, 255 - plain)


def test_floating_point_tiff(tmp_path: Path) -> None:
    deep = phantom(white=65535) / 1000
    deep[0, 0] = np.nan
    grey = read(saved(Image.fromarray(deep.astype("float32")), tmp_path / "a.tif"))
    assert np.ptp(grey) == 255


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "packed.tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation(tmp_path: Path, deep: bool, name: str, orientation: int) -> None:
    if deep and name == "a.jpg":
        pytest.skip("JPEG has 8 bits")
    source = phantom(white=65535) if deep else GREY.copy()
    source[:20, :20] = source.max()  # a mark, as the lungs are symmetric
    upright = read(saved(Image.fromarray(source), tmp_path / f"upright-{name}", quality=95))
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.rot90(source, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])
    options = {"compression": "tiff_lzw"} if name.startswith("packed") else {"quality": 95}
    grey = read(saved(Image.fromarray(np.ascontiguousarray(stored)), tmp_path / name, exif=exif, **options))
    assert grey.shape == upright.shape
    assert np.abs(grey.astype(int) - upright).mean() < 2


def test_interlaced_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_interlaced_png(GREY[:8, :8]))
    np.testing.assert_array_equal(read(path), GREY[:8, :8])


def test_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.ascontiguousarray(np.roll(GREY, shift, 0))) for shift in range(3)]
    path = saved(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert inspect(path).frames == 3
    np.testing.assert_array_equal(read(path, 2), np.roll(GREY, 2, 0))


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("00000001_000.png", "UNKNOWN"),
        ("CXR1_1_IM-0001-3001.png", "UNKNOWN"),
        ("view1_frontal.png", "UNKNOWN"),
        ("view2_lateral.png", "LATERAL"),
        ("12-LAT.png", "LATERAL"),
        ("chest_PA.png", "PA"),
        ("plateau.png", "UNKNOWN"),
    ],
)
def test_position_from_the_file_name(tmp_path: Path, name: str, position: str) -> None:
    assert inspect(saved(Image.fromarray(GREY), tmp_path / name)).position is Position(position)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "packed.tif"])
def test_truncated(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"compression": "tiff_lzw"} if name.startswith("packed") else {}
    path = saved(Image.fromarray(phantom(400, 400, white=255, dtype="uint8")), tmp_path / name, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UnreadableFileError):
        read(path)
    assert capfd.readouterr() == ("", "")


def test_the_limit_is_ours_and_not_that_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(GREY), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read(path).shape == GREY.shape
    with pytest.raises(TooLargeError):
        read(path, max_megapixels=0.005)
    assert Image.MAX_IMAGE_PIXELS == 100


def _big_endian_tiff(pixels: NDArray[Any]) -> bytes:
    """TIFF 6.0, MM order, one strip; Pillow writes only little endian."""
    rows, columns = pixels.shape
    data = pixels.astype(">u2").tobytes()
    tags = [(256, columns), (257, rows), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, rows)]
    entries = b"".join(
        tag.to_bytes(2, "big") + b"\0\3\0\0\0\1" + value.to_bytes(2, "big") + b"\0\0" for tag, value in tags
    )
    entries += (279).to_bytes(2, "big") + b"\0\4\0\0\0\1" + len(data).to_bytes(4, "big")
    header = b"MM\0*" + (8 + len(data)).to_bytes(4, "big")
    return header + data + (len(tags) + 1).to_bytes(2, "big") + entries + bytes(4)


def _interlaced_png(pixels: NDArray[np.uint8]) -> bytes:
    """Adam7 (PNG 8.2); Pillow writes none."""

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(
        b"\0" + bytes(row)
        for top, left, down, right in passes
        for row in pixels[top::down, left::right].tolist()
        if row
    )
    size = pixels.shape[1].to_bytes(4, "big") + pixels.shape[0].to_bytes(4, "big")
    chunks = [(b"IHDR", size + bytes([8, 0, 0, 0, 1])), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    )


def _rgb_tiff(samples: NDArray[Any], order: str, orientation: int = 1) -> bytes:
    """TIFF 6.0, one strip of 16 bits a sample, (H, W, 3)."""
    rows, columns = samples.shape[:2]
    data = samples.astype(f"{order}u2").tobytes()
    depths = 8 + len(data)
    tags = [
        (256, 3, 1, columns),
        (257, 3, 1, rows),
        (258, 3, 3, depths),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
    ]
    tags += [(274, 3, 1, orientation), (277, 3, 1, 3), (278, 3, 1, rows), (279, 4, 1, len(data))]
    entries = b"".join(
        struct.pack(f"{order}HHL", tag, kind, count)
        + (struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}L", value))
        for tag, kind, count, value in tags
    )
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}L", depths + 6)
    return (
        head + data + struct.pack(f"{order}3H", 16, 16, 16) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    )
