"""Reading with fewer pixels: `ReadOptions.side`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import images
import numpy as np
import pytest
from dicom_factory import HTJ2K, HTJ2K_PIXELS, LOSSLESS, encapsulated, make_dataset, phantom, save
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from PIL import Image, ImageFilter
from pydicom import uid
from pydicom.pixels.decoders.base import Decoder

from cxreport.errors import StudyError, TooLargeError, UnreadableFileError
from cxreport.reading.dicom.codecs import codec_of
from cxreport.reading.dicom.codestream import is_sound_rle, jpeg2000_header
from cxreport.reading.network_input import network_input
from cxreport.reading.shrink import KEPT, shrink, shrink_factor
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Study


def smooth(rows: int, columns: int, *, white: int) -> NDArray[Any]:
    """A phantom without the edges that no radiograph has."""
    image = Image.fromarray(phantom(rows, columns, white=255, dtype="uint8"))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(8)), np.float64) / 255
    return np.rint(blurred * white).astype("uint16")


SIDE = 16
SIZE = (256, 256)
"""Sixteen times what is needed along each axis, of which a quarter is kept."""
SHRUNK = (64, 64)
DEEP = smooth(*SIZE, white=4095)
GREY = smooth(*SIZE, white=255).astype("uint8")
OPTIONS = {"rows": SIZE[0], "columns": SIZE[1], "bits_stored": 12, "pixel_representation": 0}


def read(path: Path, side: int | None = SIDE, **options: Any) -> NDArray[np.uint8]:
    return images.read(path, side=side, **options)


def box_means(pixels: NDArray[Any], down: int, across: int) -> NDArray[np.float64]:
    rows, columns = pixels.shape
    blocks = [[pixels[y : y + down, x : x + across] for x in range(0, columns, across)] for y in range(0, rows, down)]
    return np.array([[block.astype(np.float64).mean() for block in row] for row in blocks])


def assert_alike(shrunk: NDArray[Any], full: NDArray[Any], *, moved: bool = False, channels: int = 1) -> None:
    """What the network sees; ``moved`` allows for up to a quarter of its pixels.

    The first level of a reduced JPEG 2000 image lies at the first of the pixels that it stands for, and where a size
    does not divide, the last block is short.
    """
    difference = network_input(shrunk, SIDE, channels).astype(int) - network_input(full, SIDE, channels)
    assert np.abs(difference).mean() < (6 if moved else 1)
    assert np.abs(difference).max() < (40 if moved else 10)


def jpeg2000(pixels: NDArray[Any], stored: int, **options: Any) -> bytes:
    return bytes(encode_array(pixels, bits_stored=stored, photometric_interpretation=2, **options))


# Averages


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 3),
    st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32", ">u2", ">i2"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_means_are_exact(rows: int, columns: int, side: int, kind: str, seed: int) -> None:
    limits = np.iinfo(kind)
    pixels = np.random.default_rng(seed).integers(limits.min, limits.max, (rows, columns), endpoint=True)
    shrunk = shrink(pixels.astype(kind), side)
    expected = np.floor(box_means(pixels, shrink_factor(rows, side), shrink_factor(columns, side)) + 0.5)
    np.testing.assert_array_equal(shrunk, expected)


@pytest.mark.parametrize("kind", ["uint16", "int16"])
@pytest.mark.parametrize("extreme", ["min", "max"])
def test_sums_do_not_overflow(kind: str, extreme: str) -> None:
    value = getattr(np.iinfo(kind), extreme)
    shrunk = shrink(np.full((1100, 1100), value, kind), 1)
    assert shrink_factor(1100, 1) == 128
    assert (shrunk == value).all()


def test_without_a_side_nothing_is_averaged() -> None:
    assert shrink(DEEP, None) is DEEP
    assert shrink(DEEP, 64) is DEEP  # fewer than twice as many as are kept


def test_what_is_kept() -> None:
    for length in range(1, 5000, 7):
        factor = shrink_factor(length, 128)
        assert -(-length // factor) >= min(length, KEPT * 128)
        assert length < 2 * KEPT * 128 or factor > 1


# DICOM


@pytest.mark.parametrize("encoding", [*LOSSLESS, "jpeg-baseline"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": "110", "WindowWidth": "150"}])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_encoding_shrinks_and_looks_the_same(
    tmp_path: Path, encoding: str, window: dict[str, str], photometric: str
) -> None:
    path = save(make_dataset(GREY, encoding=encoding, photometric=photometric, **window), tmp_path / "a")
    shrunk, full = read(path), read(path, None)
    assert full.shape == SIZE
    assert shrunk.shape == SHRUNK
    assert_alike(shrunk, full, moved=encoding.startswith("jpeg2000"))


@pytest.mark.parametrize("encoding", ["explicit", "rle", "jpeg2000-lossless", "jpeg-baseline"])
@pytest.mark.parametrize("size", [(301, 259), (303, 257), (302, 258)])
def test_sizes_that_do_not_divide(tmp_path: Path, encoding: str, size: tuple[int, int]) -> None:
    path = save(make_dataset(smooth(*size, white=255).astype("uint8"), encoding=encoding), tmp_path / "a")
    shrunk, full = read(path), read(path, None)
    assert shrunk.shape == (76, 65)
    assert_alike(shrunk, full, moved=True)


@pytest.mark.parametrize("encoding", LOSSLESS)
@pytest.mark.parametrize("signed", [False, True])
def test_twelve_bits(tmp_path: Path, encoding: str, signed: bool) -> None:
    pixels = (DEEP.astype("int32") - 2048).astype("int16") if signed else DEEP
    path = save(make_dataset(pixels, encoding=encoding, bits_stored=12), tmp_path / "a")
    shrunk, full = read(path), read(path, None)
    assert shrunk.shape == SHRUNK
    assert_alike(shrunk, full, moved=encoding.startswith("jpeg2000"))


def test_bits_are_aligned_before_they_are_averaged(tmp_path: Path) -> None:
    overlay = DEEP | (np.indices(SIZE).sum(0) % 2 * 0x8000).astype("uint16")
    shrunk = read(save(make_dataset(overlay, bits_stored=12), tmp_path / "a"))
    assert shrunk.shape == SHRUNK
    np.testing.assert_array_equal(shrunk, read(save(make_dataset(DEEP, bits_stored=12), tmp_path / "b")))


@pytest.mark.parametrize("encoding", ["explicit", "jpeg2000-lossless"])
def test_padding_is_not_mixed_with_tissue(tmp_path: Path, encoding: str) -> None:
    path = save(make_dataset(DEEP, encoding=encoding, bits_stored=12, PixelPaddingValue=0), tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(path, None))


def test_indices_of_a_palette_are_not_averaged(tmp_path: Path) -> None:
    dataset = make_dataset(GREY, photometric="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = np.random.default_rng(0).integers(0, 65536, 256).astype("<u2").tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    path = save(dataset, tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(path, None))


@pytest.mark.parametrize("encoding", ["explicit", "jpeg-baseline", "jpeg2000-lossless"])
def test_colour_keeps_its_pixels(tmp_path: Path, encoding: str) -> None:
    path = save(make_dataset(np.stack([GREY] * 3, axis=-1), encoding=encoding), tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(path, None))


def test_few_grey_values_keep_their_pixels(tmp_path: Path) -> None:
    path = save(make_dataset(GREY >> 6, bits_stored=2), tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(path, None))


@pytest.mark.parametrize("encoding", ["explicit", "jpeg2000-lossless"])
def test_windows_that_clip_most_of_the_image_see_every_pixel(tmp_path: Path, encoding: str) -> None:
    narrow = make_dataset(DEEP, encoding=encoding, bits_stored=12, WindowCenter="2000", WindowWidth="20")
    path = save(narrow, tmp_path / "a")
    np.testing.assert_array_equal(read(path), read(path, None))


def test_the_second_of_two_frames(tmp_path: Path) -> None:
    for encoding in ("explicit", "jpeg2000-lossless", "jpeg-baseline"):
        path = save(make_dataset(np.stack([GREY, GREY[::-1]]), encoding=encoding), tmp_path / encoding)
        shrunk, full = (read(path, side, frame=1) for side in (SIDE, None))
        assert shrunk.shape == SHRUNK
        assert_alike(shrunk, full, moved=encoding.startswith("jpeg2000"))


# Compressed frames at a fraction of their size


@pytest.mark.parametrize("stored", range(2, 17))
@pytest.mark.parametrize("signed", [False, True])
def test_reduced_jpeg2000_is_near_the_mean(stored: int, signed: bool) -> None:
    white = 2**stored - 1
    half = 2 ** (stored - 1) if signed else 0
    smooth = np.rint((np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) / sum(SIZE)) * white).astype("int64") - half
    pixels = smooth.astype(("int" if signed else "uint") + ("8" if stored <= 8 else "16"))
    options = {**OPTIONS, "bits_stored": stored, "pixel_representation": int(signed)}
    shrunk = codec_of(uid.JPEG2000Lossless).decode_reduced(jpeg2000(pixels, stored), options, SIDE)
    assert shrunk is not None
    assert shrunk.shape == SHRUNK
    inner = np.s_[1:-1, 1:-1]
    assert np.abs(shrunk[inner] - box_means(smooth, 4, 4)[inner]).max() <= max(2, white * 4 / sum(SIZE))


def test_levels_that_are_not_there_are_averaged(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "JPEG2000", no_jp2=True, num_resolutions=2)
    header = jpeg2000_header(buffer.getvalue())
    assert header is not None
    assert header.levels == 1
    path = save(encapsulated(buffer.getvalue(), uid.JPEG2000Lossless, GREY), tmp_path / "a")
    assert read(path).shape == SHRUNK


def test_htj2k_is_reduced() -> None:
    options = {**OPTIONS, "rows": 24, "columns": 16, "bits_stored": 16}
    shrunk = codec_of(uid.HTJ2KLossless).decode_reduced(HTJ2K, options, 2)
    assert shrunk is not None
    assert shrunk.shape == (12, 8)
    assert np.abs(shrunk - box_means(HTJ2K_PIXELS, 2, 2)).max() <= 100


@pytest.mark.parametrize("changes", [{"pixel_representation": 1}, {"rows": 300}, {"columns": 300}], ids=str)
def test_frames_that_do_not_fit_the_header_are_for_the_full_decoder(changes: dict[str, int]) -> None:
    frame = jpeg2000(DEEP, 12)
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(frame, OPTIONS, SIDE) is not None
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(frame, OPTIONS | changes, SIDE) is None


@pytest.mark.parametrize("changes", [{"bits_stored": 7}, {"pixel_representation": 1}, {"rows": 300}], ids=str)
def test_so_are_jpeg_frames(changes: dict[str, int]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "JPEG")
    fitting = {**OPTIONS, "bits_stored": 8}
    assert codec_of(uid.JPEGBaseline8Bit).decode_reduced(buffer.getvalue(), fitting, SIDE) is not None
    assert codec_of(uid.JPEGBaseline8Bit).decode_reduced(buffer.getvalue(), fitting | changes, SIDE) is None


def test_frames_for_the_full_decoder() -> None:
    frame = jpeg2000(DEEP, 12)
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(frame, OPTIONS, None) is None
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(frame, OPTIONS, 64) is None  # nothing to leave out
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(frame[: len(frame) // 2], OPTIONS, SIDE) is None
    assert codec_of(uid.JPEGLSLossless).decode_reduced(frame, OPTIONS, SIDE) is None
    boxed = io.BytesIO()
    Image.fromarray(GREY).save(boxed, "JPEG2000")
    assert codec_of(uid.JPEG2000Lossless).decode_reduced(boxed.getvalue(), {**OPTIONS, "bits_stored": 8}, SIDE) is None


def test_header_of_a_codestream() -> None:
    header = jpeg2000_header(HTJ2K)
    assert header is not None
    assert (header.rows, header.columns, header.precision, header.signed, header.levels) == (24, 16, 16, False, 5)
    assert jpeg2000_header(HTJ2K[:44]) is None
    assert jpeg2000_header(HTJ2K[:60]) is None  # before the coding style
    assert jpeg2000_header(b"\xff\xd8\xff" + bytes(60)) is None
    colour = io.BytesIO()
    Image.fromarray(np.stack([GREY] * 3, axis=-1)).save(colour, "JPEG2000", no_jp2=True)
    assert jpeg2000_header(colour.getvalue()) is None


# Damage


@pytest.mark.parametrize("encoding", ["explicit", "rle", "jpeg2000-lossless", "deflated", "jpeg-baseline"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_files_stay_unreadable(tmp_path: Path, encoding: str, share: float) -> None:
    path = save(make_dataset(GREY, encoding=encoding), tmp_path / "a")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableFileError):
        read(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_truncated_codestreams_in_whole_files_stay_unreadable(tmp_path: Path, share: float) -> None:
    frame = jpeg2000(DEEP, 12)
    frame = frame[: int(len(frame) * share)]
    path = save(encapsulated(frame, uid.JPEG2000Lossless, DEEP, bits_stored=12), tmp_path / "a")
    with pytest.raises(UnreadableFileError):
        read(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_truncated_pictures_stay_unreadable(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: (tmp_path / name).stat().st_size * 2 // 3])
    with pytest.raises(UnreadableFileError):
        read(tmp_path / name)


@pytest.mark.parametrize("encoding", ["explicit", "jpeg2000-lossless", "jpeg-baseline"])
def test_the_limit_comes_first(tmp_path: Path, encoding: str) -> None:
    path = save(make_dataset(GREY, encoding=encoding), tmp_path / "a")
    with pytest.raises(TooLargeError):
        read(path, max_megapixels=0.01)


@pytest.mark.parametrize("encoding", ["rle", "jpeg2000-lossless", "jpeg-baseline", "deflated"])
def test_damage_is_a_failure_or_a_picture_but_never_a_crash(
    tmp_path: Path, encoding: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = save(make_dataset(GREY, encoding=encoding), tmp_path / "a").read_bytes()
    random = np.random.default_rng(5)
    for _ in range(30):
        damaged = bytearray(content)
        for place in random.integers(300, len(content), 5):
            damaged[place] = random.integers(256)
        (tmp_path / "b").write_bytes(damaged)
        try:
            assert read(tmp_path / "b").ndim == 2
        except StudyError:
            continue
    assert capfd.readouterr() == ("", "")


# RLE: which decoder


def test_whole_frames_are_for_the_fast_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugins = []

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def decode(decoder: Decoder, *arguments: Any, **options: Any) -> Any:
            plugins.append(options["decoding_plugin"])
            return original(decoder, *arguments, **options)

        return decode

    for name in ("as_array", "as_buffer"):
        monkeypatch.setattr(Decoder, name, noting(getattr(Decoder, name)))
    for pixels in (GREY, DEEP, np.stack([GREY] * 3, axis=-1), np.stack([DEEP, DEEP])):
        read(save(make_dataset(pixels, encoding="rle"), tmp_path / "a"))
    assert plugins == ["pylibjpeg"] * 4


@pytest.mark.parametrize(
    "segments",
    [[b"\x80"], [b""], [b"\xf1\x07"], [b"\xf0\x07", b"\xf0\x07"], [b"\xf0"]],
    ids=["nothing", "empty", "too short", "two", "cut"],
)
def test_frames_that_could_panic_are_not(segments: list[bytes]) -> None:
    def frame(segments: list[bytes]) -> bytes:
        offsets = 64 + np.cumsum([0, *map(len, segments)])[:-1]
        return np.array([len(segments), *offsets, *[0] * (15 - len(segments))], "<u4").tobytes() + b"".join(segments)

    assert is_sound_rle(frame([b"\xf1\x07"]), 1, 16)
    assert not is_sound_rle(frame(segments), 1, 17)
    assert not is_sound_rle(frame([b"\xf1\x07"]), 1, 15)  # decodes to more than the image: there the plugin panics
    assert not is_sound_rle(frame([b"\xf1\x07"])[:63], 1, 16)


# Pictures


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_deep_pictures(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / name)
    shrunk, full = read(tmp_path / name), read(tmp_path / name, None)
    assert shrunk.shape == SHRUNK
    assert full.shape == SIZE
    assert_alike(shrunk, full)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_pictures(tmp_path: Path, mode: str, orientation: int, colour: bool) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(GREY).convert(mode).save(tmp_path / "a.jpg", quality=95, exif=exif)
    shrunk, full = (read(tmp_path / "a.jpg", side, colour=colour) for side in (SIDE, None))
    assert shrunk.shape[:2] == (SHRUNK if orientation == 1 else SHRUNK[::-1])
    assert full.shape[:2] == (SIZE if orientation == 1 else SIZE[::-1])
    assert shrunk.ndim == full.ndim == 2 + (colour and mode != "L")
    assert_alike(shrunk, full, channels=3 if shrunk.ndim == 3 else 1)


def test_floating_point_pictures_keep_their_pixels(tmp_path: Path) -> None:
    Image.fromarray(DEEP.astype("float32")).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").shape == SIZE


# Studies


@pytest.mark.parametrize("name", ["a.dcm", "a.png"])
def test_studies_keep_every_pixel_unless_told(tmp_path: Path, name: str) -> None:
    if name == "a.dcm":
        save(make_dataset(DEEP, bits_stored=12), tmp_path / name)
    else:
        Image.fromarray(DEEP).save(tmp_path / name)
    for options, size in ((ReadOptions(), SIZE), (ReadOptions(side=SIDE), SHRUNK)):
        (study,) = read_studies([tmp_path / name], options)
        assert isinstance(study, Study)
        assert study.view is not None
        assert study.view.pixels.shape == size


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("factor", [2, 3, 4, 7, 8, 16])
def test_sums_that_all_but_fill_their_integers(kind: type, factor: int) -> None:
    """Blocks of which the sum is nearly 2 to the power of 16 or 32, or as large as it can be."""
    side = 16
    fullest = {edge // factor**2 for edge in (1 << 16, 1 << 32)}
    values = {v + d for v in (*fullest, np.iinfo(kind).max) for d in (-2, -1, 0, 1)}
    for value in sorted(v for v in values if 0 <= v <= np.iinfo(kind).max):
        pixels = np.full((side * KEPT * factor,) * 2, value, kind)
        pixels[1::2] -= pixels[1::2] > 0  # two values, whose means are to be rounded
        expected = pixels.reshape(side * KEPT, factor, side * KEPT, factor).astype(np.int64).sum((1, 3))
        np.testing.assert_array_equal(shrink(pixels, side), (expected + factor**2 // 2) // factor**2)
