from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import make_dataset, phantom, save
from images import inspect, read, rendering
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxreport.reading.dicom.display import COVERED
from cxreport.reading.discover import open_image
from cxreport.reading.instance import DecodeLimits, Drawback
from cxreport.types import Position

PIXELS = phantom()
PIXELS[5:20, 3:30] = 4000  # a mark at the patient's right shoulder
Stored = Callable[[NDArray[Any]], NDArray[Any]]

STORED: dict[str, Stored] = {
    "L\\F": lambda upright: upright,
    "R\\F": lambda upright: upright[:, ::-1],
    "L\\H": lambda upright: upright[::-1],
    "R\\H": lambda upright: np.rot90(upright, 2),
    "F\\L": lambda upright: upright.T,
    "F\\R": lambda upright: np.rot90(upright),
    "H\\L": lambda upright: np.rot90(upright, -1),
    "H\\R": lambda upright: np.rot90(upright, 2).T,
}
"""How an upright picture lies in a file with this Patient Orientation (PS3.3 C.7.6.1.1.1)."""


@pytest.mark.parametrize("orientation", STORED)
def test_pixels_are_put_upright(tmp_path: Path, orientation: str) -> None:
    upright = read(save(make_dataset(PIXELS, bits_stored=12), tmp_path / "upright"))
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    axes = orientation.split("\\")
    path = save(make_dataset(stored, bits_stored=12, PatientOrientation=axes), tmp_path / "stored")
    image = open_image(str(path), DecodeLimits())
    shown = image.rendering(0)
    image.close()
    np.testing.assert_array_equal(shown.pixels, upright)
    plain = open_image(str(tmp_path / "upright"), DecodeLimits())
    turns = shown.changes[len(plain.rendering(0).changes) :]
    plain.close()
    assert len(turns) == (orientation != "L\\F")
    assert all("Patient Orientation" in turn for turn in turns)
    assert (Drawback.NOT_UPRIGHT in image.instance.drawbacks) == (orientation != "L\\F")


@pytest.mark.parametrize("orientation", STORED)
def test_a_shutter_lies_on_the_stored_pixels(tmp_path: Path, orientation: str) -> None:
    edges = {"LeftVertical": 11, "RightVertical": 60, "UpperHorizontal": 21, "LowerHorizontal": 90}
    shutter = {"ShutterShape": "RECTANGULAR"} | {f"Shutter{name}Edge": edge for name, edge in edges.items()}
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    covered = read(save(make_dataset(stored, bits_stored=12, **shutter), tmp_path / "covered"))
    axes = orientation.split("\\")
    path = save(make_dataset(stored, bits_stored=12, PatientOrientation=axes, **shutter), tmp_path / "stored")
    shown = rendering(path)
    np.testing.assert_array_equal(STORED[orientation](shown.pixels), covered)
    assert [COVERED in shown.changes, "to stand upright" in shown.changes[-1]] == [True, orientation != "L\\F"]


@pytest.mark.parametrize("axes", [[], ["R"], ["A", "H"], ["P", "F"], ["R", "L"], ["X", "Y"], ["R", "F", "L"]], ids=str)
def test_pixels_that_do_not_say_how_they_lie_stay(tmp_path: Path, axes: list[str]) -> None:
    expected = read(save(make_dataset(PIXELS, bits_stored=12), tmp_path / "a"))
    path = save(make_dataset(PIXELS, bits_stored=12, PatientOrientation=axes), tmp_path / "b")
    np.testing.assert_array_equal(read(path), expected)


def test_composite_directions_count_by_their_first_letter(tmp_path: Path) -> None:
    expected = read(save(make_dataset(PIXELS, bits_stored=12), tmp_path / "a"))
    mirrored = np.ascontiguousarray(PIXELS[:, ::-1])
    path = save(make_dataset(mirrored, bits_stored=12, PatientOrientation=["RH", "FR"]), tmp_path / "b")
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(
    ("attributes", "is_doubted"),
    [
        ({"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": "0"}, True),
        ({"FieldOfViewHorizontalFlip": "NO", "FieldOfViewRotation": "90"}, True),
        ({"FieldOfViewHorizontalFlip": "NO", "FieldOfViewRotation": "0"}, False),
        ({"FieldOfViewHorizontalFlip": "YES", "PatientOrientation": ["L", "F"]}, False),
    ],
    ids=str,
)
def test_what_was_turned_behind_the_detector_is_not_turned_again(
    tmp_path: Path, attributes: dict[str, Any], is_doubted: bool
) -> None:
    """PS3.3 C.8.11.4: the flip and the rotation have been applied to the stored pixels."""
    expected = read(save(make_dataset(PIXELS, bits_stored=12), tmp_path / "a"))
    path = save(make_dataset(PIXELS, bits_stored=12, **attributes), tmp_path / "b")
    np.testing.assert_array_equal(read(path), expected)
    assert any("exchanged" in doubt for doubt in inspect(path).doubts) == is_doubted


def code(value: str, meaning: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.CodingSchemeDesignator = value, meaning, scheme
    return item


@pytest.mark.parametrize(
    ("value", "meaning", "scheme", "position"),
    [
        ("272479007", "lateral", "SCT", "PA"),
        ("399348003", "Projektion 2", "SCT", "AP"),
        ("399067008", "postero-anterior", "SCT", "LATERAL"),
        ("399173006", "", "SCT", "LATERAL"),
        ("399198007", "frontal", "SCT", "LATERAL"),
        ("R-10214", "p.", "SRT", "PA"),
        ("R-10206", "lateral", "SNM3", "AP"),
        ("R-10236", "left", "SRT", "LATERAL"),
        ("R-10232", "right", "99SDM", "LATERAL"),
        ("399033003", "lateral", "SCT", "UNKNOWN"),  # frontal
        ("272479007", "seitlich", "99LOCAL", "LATERAL"),  # a number of another scheme: the words say it
    ],
)
def test_views_count_by_code(tmp_path: Path, value: str, meaning: str, scheme: str, position: str) -> None:
    path = save(make_dataset(PIXELS, ViewCodeSequence=[code(value, meaning, scheme)]), tmp_path / "a")
    assert inspect(path).position is Position(position)


@pytest.mark.parametrize(
    ("body_part", "is_refused"),
    [
        ("TORAX Y ABDOMEN", False),
        ("TÓRAX", False),
        ("ABDOMEN+TORAX", False),
        ("CHESTABDOMEN", False),
        ("CAGE THORACIQUE", False),
        ("TORACE", False),
        ("RIBS LEFT SHOULDER", False),
        ("THORACIC SPINE", True),
        ("SPINE THORACOLUMBAR", True),
        ("DISTRIBUTION HAND", True),
    ],
)
def test_body_parts_by_whole_words(tmp_path: Path, body_part: str, is_refused: bool) -> None:
    path = save(make_dataset(PIXELS, BodyPartExamined=body_part), tmp_path / "a")
    assert (inspect(path).refusal is not None) == is_refused
