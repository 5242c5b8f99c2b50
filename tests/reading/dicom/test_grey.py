"""Which grey an image is shown in: its own range, windows that miss, polarity, overlays, shutters."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import encapsulated, jpeg, make_dataset, phantom, save
from images import read, rendering
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import uid
from pydicom.dataset import Dataset

from cxreport.reading.dicom.display import COVERED, LUT_NARROWER, PADDING, WINDOW_MISSED
from cxreport.reading.dicom.stored_bits import CUT
from cxreport.reading.grey import STRETCHED
from cxreport.reading.study import ReadOptions, read_study

GREY = 40 + phantom(white=150, dtype="uint8")
"""8 bits that leave a part of the range unused."""
SIDES = pytest.mark.parametrize("side", [8, None])


def as_picture(tmp_path: Path, pixels: NDArray[Any], side: int | None = None) -> NDArray[Any]:
    """Pixels as a PNG of the same values shows them."""
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return read(tmp_path / "picture.png", side=side)


# Without a window


@pytest.mark.parametrize(
    ("stored", "kind", "attributes"),
    [
        (8, "uint8", {}),
        (8, "uint8", {"RescaleSlope": "16", "RescaleIntercept": "-1024"}),
        (8, "uint8", {"RescaleSlope": "-2", "PhotometricInterpretation": "MONOCHROME1"}),
        (8, "uint16", {}),
        (8, "uint8", {"WindowCenter": "", "WindowWidth": ""}),
        (8, "uint8", {"WindowCenter": "9000", "WindowWidth": "50"}),
        (12, "uint16", {}),
        (12, "uint16", {"RescaleSlope": "0.25"}),
        (16, "uint16", {}),
        (10, "int16", {}),
        (12, "int16", {}),
    ],
)
@pytest.mark.parametrize("encoding", ["explicit", "encapsulated", "jpeg2000-lossless"])
def test_the_container_does_not_change_the_grey(
    tmp_path: Path, stored: int, kind: str, attributes: dict[str, str], encoding: str
) -> None:
    values = np.rint(GREY.astype(float) / 255 * (2**stored - 1)).astype("int64")
    values -= 2 ** (stored - 1) if kind == "int16" else 0
    path = save(make_dataset(values.astype(kind), bits_stored=stored, encoding=encoding, **attributes), tmp_path / "a")
    shown = rendering(path)
    np.testing.assert_array_equal(shown.pixels, GREY)
    assert STRETCHED not in shown.changes


def test_a_modality_table_has_a_range_too(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.add_new("LUTData", "OW", (np.arange(256) * 4095 // 255).astype("<u2").tobytes())
    grey = read(save(make_dataset(GREY, ModalityLUTSequence=[table]), tmp_path / "a"))
    assert np.abs(grey.astype(int) - GREY).max() <= 1


@SIDES
@pytest.mark.parametrize("unused", [2, 4, 6])
@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_values_of_another_depth_than_stated_are_stretched(
    tmp_path: Path, unused: int, kind: str, side: int | None
) -> None:
    values = phantom(white=2 ** (16 - unused) - 1, dtype=kind)
    shown = rendering(save(make_dataset(values), tmp_path / "a"), side=side)
    assert shown.changes == (STRETCHED,)
    assert (shown.pixels.min(), shown.pixels.max()) == (0, 255)
    np.testing.assert_array_equal(shown.pixels, as_picture(tmp_path, values.astype("uint16"), side))


def test_padding_does_not_stand_for_values(tmp_path: Path) -> None:
    values = phantom(white=4095)
    values[:20] = 60000
    shown = rendering(save(make_dataset(values, PixelPaddingValue=60000), tmp_path / "a"))
    assert set(shown.changes) == {PADDING, STRETCHED}
    np.testing.assert_array_equal(shown.pixels[20:], as_picture(tmp_path, values[20:]))


@pytest.mark.parametrize("encoding", ["explicit", "jpeg2000-lossless"])
@pytest.mark.parametrize("share", [0.24, 0.25, 0.255, 0.26, 0.27])
def test_a_close_call_is_decided_on_every_pixel(tmp_path: Path, share: float, encoding: str) -> None:
    """Averages fill less of the range than the values do."""
    noise = np.random.default_rng(3).normal(0, 40, (256, 256))
    values = np.clip(phantom(256, 256, white=int(4096 * share) - 200) + 100 + noise, 0, 4095).astype("uint16")
    path = save(make_dataset(values, bits_stored=12, encoding=encoding), tmp_path / "a")
    assert rendering(path, side=16).changes == rendering(path).changes


# Windows and tables that do not fit


@SIDES
@pytest.mark.parametrize("marker", [0, 1, 6])
@pytest.mark.parametrize("attributes", [{}, {"VOILUTFunction": "SIGMOID"}, {"VOILUTFunction": "LINEAR_EXACT"}])
def test_a_window_that_shows_a_marker_alone(
    tmp_path: Path, marker: int, attributes: dict[str, str], side: int | None
) -> None:
    values = phantom(256, 240) + 20000
    values[4 : 4 + 8 * marker, 4 : 4 + 6 * marker] = 0
    window = {"WindowCenter": "3174", "WindowWidth": "2426"}
    shown = rendering(save(make_dataset(values, **window, **attributes), tmp_path / "a"), side=side)
    np.testing.assert_array_equal(shown.pixels, as_picture(tmp_path, values, side))
    assert WINDOW_MISSED in shown.changes


def test_the_first_window_that_shows_something(tmp_path: Path) -> None:
    values = phantom()
    several = make_dataset(values, bits_stored=12, WindowCenter=["30000", "2000"], WindowWidth=["100", "3000"])
    one = make_dataset(values, bits_stored=12, WindowCenter="2000", WindowWidth="3000")
    shown = rendering(save(several, tmp_path / "a"))
    np.testing.assert_array_equal(shown.pixels, read(save(one, tmp_path / "b")))
    assert shown.changes == (WINDOW_MISSED,)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("function", ["", "LINEAR_EXACT"])
@SIDES
def test_a_window_of_16_bits_over_values_of_fewer(tmp_path: Path, depth: int, function: str, side: int | None) -> None:
    values = np.rint(GREY / 255 * ((1 << depth) - 1)).astype("uint16")
    window = {"WindowCenter": "32768", "WindowWidth": "65536", "VOILUTFunction": function}
    shown = rendering(save(make_dataset(values, bits_stored=16, **window), tmp_path / "a"), side=side)
    without = read(save(make_dataset(values, bits_stored=16), tmp_path / "b"), side=side)
    np.testing.assert_array_equal(shown.pixels, without)
    assert WINDOW_MISSED in shown.changes


@pytest.mark.parametrize("levels", [30, 60])
def test_a_window_of_little_contrast_is_kept(tmp_path: Path, levels: int) -> None:
    window = {"WindowCenter": "128", "WindowWidth": str(round(256 * 255 / levels))}
    shown = rendering(save(make_dataset(GREY, **window), tmp_path / "a"))
    assert shown.changes == ()
    assert np.ptp(shown.pixels) < levels


@pytest.mark.parametrize("missing", [[40000], [40000, 50000]], ids=["second", "third"])
def test_the_first_table_that_shows_something(tmp_path: Path, missing: list[int]) -> None:
    tables = []
    for first in [*missing, 0]:
        table = Dataset()
        table.LUTDescriptor = [4096, first, 12]
        table.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
        tables.append(table)
    values = np.rint(GREY / 255 * 4095).astype("uint16")
    attributes = {"WindowCenter": "500", "WindowWidth": "900"}  # shows something too, but comes later
    shown = rendering(save(make_dataset(values, bits_stored=16, VOILUTSequence=tables, **attributes), tmp_path / "a"))
    np.testing.assert_array_equal(shown.pixels, GREY)
    assert shown.changes == (WINDOW_MISSED,)


def test_a_window_that_leaves_much_of_an_image_black_is_kept(tmp_path: Path) -> None:
    values = np.zeros((100, 100), "uint16")
    values[:97], values[40:60, 40:80] = 0, 4000  # a twelfth of the image on a black ground
    shown = rendering(
        save(make_dataset(values, bits_stored=12, WindowCenter="3000", WindowWidth="3000"), tmp_path / "a")
    )
    assert shown.changes == ()
    assert shown.pixels[50, 50] > 200


@pytest.mark.parametrize(("declared", "used"), [(16, 14), (16, 15), (16, 12), (14, 12), (12, 10), (12, 8), (10, 12)])
def test_entries_of_another_depth_than_declared(tmp_path: Path, declared: int, used: int) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, declared]
    table.add_new("LUTData", "OW", np.rint(np.arange(4096) / 4095 * (2**used - 1)).astype("<u2").tobytes())
    values = np.rint(GREY / 255 * 4095).astype("uint16")
    shown = rendering(save(make_dataset(values, bits_stored=12, VOILUTSequence=[table]), tmp_path / "a"))
    np.testing.assert_array_equal(shown.pixels, GREY)
    assert shown.changes == ((LUT_NARROWER,) if used < declared else ())


@pytest.mark.parametrize(
    ("center", "width"),
    [("2012,0", "1024,0"), ("2012.0", "1024,0"), ("2012,0\\9", "1024,0\\9"), (" 2,012e3 ", "1,024E3")],
)
def test_decimal_commas(tmp_path: Path, center: str, width: str) -> None:
    values = np.rint(GREY.astype(float) * 4 + 1500).astype("uint16")
    values[0], values[-1] = 4095, 0
    expected = read(
        save(make_dataset(values, bits_stored=12, WindowCenter="2012", WindowWidth="1024"), tmp_path / "plain")
    )
    path = save(make_dataset(values, bits_stored=12), tmp_path / "a")
    content = path.read_bytes()
    elements = b""
    for element, text in ((0x1050, center), (0x1051, width)):
        text += " " * (len(text) % 2)
        elements += struct.pack("<HH2sH", 0x28, element, b"DS", len(text)) + text.encode()
    place = content.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"))
    path.write_bytes(content[:place] + elements + content[place:])
    np.testing.assert_array_equal(read(path), expected)


# Polarity


DX = {"SOPClassUID": uid.DigitalXRayImageStorageForPresentation, "Modality": "DX"}


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse", "contradictory"),
    [
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", False, True),
        ("MONOCHROME1", "", True, False),
        ("MONOCHROME1", "LIN OD", True, False),
    ],
)
@pytest.mark.parametrize("attributes", [DX, {}], ids=["DX", "CR"])
def test_contradictory_polarity_is_named(
    tmp_path: Path, photometric: str, shape: str, inverse: bool, contradictory: bool, attributes: dict[str, str]
) -> None:
    path = save(
        make_dataset(GREY, photometric=photometric, PresentationLUTShape=shape, **attributes), tmp_path / "a.dcm"
    )
    study = read_study(path)
    assert study.view is not None
    np.testing.assert_array_equal(study.view.pixels, 255 - GREY if inverse else GREY)
    assert [photometric in warning and shape in warning for warning in study.warnings] == [True] * contradictory


# Overlays in the bits of the pixels


@SIDES
@pytest.mark.parametrize(
    ("stored", "high_bit", "overlays"),
    [
        (10, 11, [0]),
        (10, 11, [0, 1]),
        (10, 11, [0, 12, 15]),
        (10, 10, [0]),
        (12, 15, [0, 3]),
        (12, 11, [12]),
        (12, 11, [12, 15]),
        (12, 14, [1, 15]),
    ],
)
@pytest.mark.parametrize("is_stated", [True, False])
@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_overlays_beside_the_stored_bits(
    tmp_path: Path, stored: int, high_bit: int, overlays: list[int], is_stated: bool, kind: str, side: int | None
) -> None:
    below = high_bit - stored + 1
    values = phantom(white=2**stored - 1).astype("int64")
    signed = values - 2 ** (stored - 1) if kind == "int16" else values
    stack = (signed & (2**stored - 1)) << below
    for number in overlays:
        stack |= (np.indices(values.shape).sum(0) % (2 + number) == 0).astype("int64") << number
    dataset = make_dataset(stack.astype("uint16").view(kind), bits_stored=stored, HighBit=high_bit)
    for place, number in enumerate(overlays if is_stated else []):
        group = 0x6000 + 2 * place
        dataset.add_new(group << 16 | 0x100, "US", 16)
        dataset.add_new(group << 16 | 0x102, "US", number)
    shown = rendering(save(dataset, tmp_path / "a"), side=side)
    expected = save(make_dataset(signed.astype(kind), bits_stored=stored), tmp_path / "b")
    np.testing.assert_array_equal(shown.pixels, read(expected, side=side))
    assert shown.changes == (CUT,)


def test_a_stated_overlay_below_dark_values(tmp_path: Path) -> None:
    """Nothing in the pixels tells it from a wrong high bit."""
    values = phantom(white=200)
    dataset = make_dataset(values << 2 | 1, bits_stored=10, HighBit=11, WindowCenter="100", WindowWidth="200")
    wrong = read(save(dataset, tmp_path / "a"))
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 0)
    expected = make_dataset(values, bits_stored=10, WindowCenter="100", WindowWidth="200")
    stated = read(save(dataset, tmp_path / "b"))
    np.testing.assert_array_equal(stated, read(save(expected, tmp_path / "c")))
    assert (wrong != stated).any()


@SIDES
@pytest.mark.parametrize("encoding", ["rle", "jpeg2000-lossless"])
def test_overlays_in_compressed_pixels(tmp_path: Path, encoding: str, side: int | None) -> None:
    values = phantom()
    overlaid = values | ((np.indices(values.shape).sum(0) % 5 == 0) * 0x8000).astype("uint16")
    dataset = make_dataset(overlaid, encoding=encoding)
    dataset.BitsStored, dataset.HighBit = 12, 11
    expected = save(make_dataset(values, bits_stored=12), tmp_path / "b")
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a"), side=side), read(expected, side=side))


# Display Shutter


WHITE = np.pad(GREY, 24, constant_values=255)
ROWS, COLUMNS = np.indices(WHITE.shape) + 1


def polygon(*corners: tuple[int, int]) -> NDArray[Any]:
    image = Image.new("1", WHITE.shape[::-1])
    ImageDraw.Draw(image).polygon([(column - 1, row - 1) for row, column in corners], fill=1, outline=1)
    return np.array(image)


def overlay(covered: NDArray[Any], group: int = 0x6002) -> list[tuple[int, str, Any]]:
    """An overlay plane with its elements (PS3.3 C.9.2)."""
    packed = np.packbits(covered.ravel(), bitorder="little").tobytes()
    elements = [(0x10, "US", covered.shape[0]), (0x11, "US", covered.shape[1]), (0x40, "CS", "G"), (0x50, "SS", [1, 1])]
    elements += [(0x100, "US", 1), (0x102, "US", 0), (0x3000, "OW", packed + bytes(len(packed) % 2))]
    return [(group << 16 | element, vr, value) for element, vr, value in elements]


RECTANGLE = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 25,
    "ShutterRightVerticalEdge": 104,
    "ShutterUpperHorizontalEdge": 25,
    "ShutterLowerHorizontalEdge": 120,
}
CIRCLE = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [70, 64], "RadiusOfCircularShutter": 40}
CORNERS = ((25, 25), (25, 104), (120, 90), (120, 40))
POLYGON = {
    "ShutterShape": "POLYGONAL",
    "VerticesOfThePolygonalShutter": [place for corner in CORNERS for place in corner],
}
IN_RECTANGLE = (ROWS >= 25) & (ROWS <= 120) & (COLUMNS >= 25) & (COLUMNS <= 104)
IN_CIRCLE = (ROWS - 70) ** 2 + (COLUMNS - 64) ** 2 <= 40**2
SHUTTERS: dict[str, tuple[dict[str, Any], NDArray[Any]]] = {
    "rectangular": (RECTANGLE, IN_RECTANGLE),
    "rectangular, beyond": (
        RECTANGLE | {"ShutterLeftVerticalEdge": -5, "ShutterLowerHorizontalEdge": 999},
        (ROWS >= 25) & (COLUMNS <= 104),
    ),
    "circular": (CIRCLE, IN_CIRCLE),
    "circular, tall pixels": (
        CIRCLE | {"PixelAspectRatio": ["2", "1"]},
        4 * (ROWS - 70) ** 2 + (COLUMNS - 64) ** 2 <= 40**2,
    ),
    "polygonal": (POLYGON, polygon(*CORNERS)),
    "two shapes": (RECTANGLE | CIRCLE | {"ShutterShape": ["RECTANGULAR", "CIRCULAR"]}, IN_RECTANGLE & IN_CIRCLE),
    "bitmap": ({"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6002}, IN_CIRCLE),
}


@pytest.mark.parametrize("name", SHUTTERS)
@pytest.mark.parametrize(("value", "grey"), [(None, 0), (0, 0), (0xFFFF, 255), (0x8000, 128)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_a_shutter_covers(tmp_path: Path, name: str, value: int | None, grey: int, photometric: str) -> None:
    attributes, opening = SHUTTERS[name]
    if value is not None:
        attributes = attributes | {"ShutterPresentationValue": value}
    stored = WHITE if photometric == "MONOCHROME2" else 255 - WHITE
    dataset = make_dataset(stored, photometric=photometric, **attributes)
    for element in overlay(~IN_CIRCLE) if name == "bitmap" else []:
        dataset.add_new(*element)
    shown = rendering(save(dataset, tmp_path / "a"))
    np.testing.assert_array_equal(shown.pixels, np.where(opening, WHITE, grey))
    assert shown.changes == (COVERED,)


@pytest.mark.parametrize("encoding", ["explicit", "rle", "jpeg2000-lossless"])
def test_what_is_covered_does_not_count_for_the_window(tmp_path: Path, encoding: str) -> None:
    values = np.pad(phantom(), 24, constant_values=65535)
    shown = rendering(save(make_dataset(values, encoding=encoding, **RECTANGLE), tmp_path / "a"), side=8)
    assert set(shown.changes) == {STRETCHED, COVERED}
    np.testing.assert_array_equal(shown.pixels, np.pad(as_picture(tmp_path, phantom()), 24))


def test_colour_behind_a_shutter(tmp_path: Path) -> None:
    grey = read(save(make_dataset(np.stack([WHITE] * 3, axis=-1), **RECTANGLE), tmp_path / "a"))
    np.testing.assert_array_equal(grey, np.where(IN_RECTANGLE, WHITE, 0))


@pytest.mark.parametrize("origin", [(-3, 5), (9, -2), (200, 200)])
def test_a_bitmap_that_does_not_lie_on_the_image(tmp_path: Path, origin: tuple[int, int]) -> None:
    covered = np.zeros((30, 40), bool)
    covered[5:20, 10:] = True
    dataset = make_dataset(WHITE, ShutterShape="BITMAP", ShutterOverlayGroup=0x6000)
    for element in overlay(covered, 0x6000):
        dataset.add_new(*element)
    dataset[0x60000050].value = list(origin)
    expected = WHITE.copy()
    for row, column in np.argwhere(covered) + np.array(origin) - 1:
        if 0 <= row < WHITE.shape[0] and 0 <= column < WHITE.shape[1]:
            expected[row, column] = 0
    np.testing.assert_array_equal(read(save(dataset, tmp_path / "a")), expected)


@pytest.mark.parametrize(
    "attributes",
    [
        {"ShutterShape": "RECTANGULAR"},
        RECTANGLE | {"ShutterLeftVerticalEdge": 110},
        RECTANGLE | {"ShutterShape": "HEXAGONAL"},
        CIRCLE | {"RadiusOfCircularShutter": 0},
        CIRCLE | {"CenterOfCircularShutter": [900, 900]},
        CIRCLE | {"CenterOfCircularShutter": 70},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 2, 3, 4]},
        {"ShutterShape": "BITMAP"},
        {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000},
        {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x28},
        {"ShutterShape": ""},
    ],
)
def test_shutters_that_cannot_be_used_cover_nothing(tmp_path: Path, attributes: dict[str, Any]) -> None:
    shown = rendering(save(make_dataset(WHITE, **attributes), tmp_path / "a"))
    np.testing.assert_array_equal(shown.pixels, WHITE)
    assert shown.changes == ()


# In the study


def test_changes_are_those_of_the_view_that_is_used(tmp_path: Path) -> None:
    save(make_dataset(WHITE, StudyInstanceUID="1.2.3", ViewPosition="PA", **RECTANGLE), tmp_path / "pa.dcm")
    save(make_dataset(GREY, StudyInstanceUID="1.2.3", ViewPosition="LL"), tmp_path / "lateral.dcm")
    study = read_study(tmp_path, ReadOptions(side=8))
    assert study.view is not None
    assert study.view.info.changes == (COVERED,)
    assert [(Path(info.source).name, info.changes) for info in study.other_views] == [("lateral.dcm", ())]


def test_other_frames_of_a_file_with_changes(tmp_path: Path) -> None:
    path = save(make_dataset(np.stack([WHITE, WHITE]), **RECTANGLE), tmp_path / "a.dcm")
    study = read_study(path)
    assert [info.frame for info in study.other_views] == [1]


def test_a_jpeg_of_8_bits_is_shown_as_it_is(tmp_path: Path) -> None:
    path = save(encapsulated(jpeg(GREY), uid.JPEGBaseline8Bit, GREY), tmp_path / "a")
    assert np.abs(read(path).astype(int) - GREY).mean() < 2
