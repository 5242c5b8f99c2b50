from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dicom_factory import make_dataset, phantom, save
from PIL import Image

from cxreport.reading.discover import find_files, find_studies, group_files, references
from cxreport.reading.grouping import FileReference, FoundFile, StudiesFound, unique_names
from cxreport.reading.study import ReadOptions, read_studies

PIXELS = phantom(32, 32)


def write(folder: Path, *files: dict[str, Any]) -> None:
    for number, attributes in enumerate(files):
        save(make_dataset(PIXELS, **{"StudyInstanceUID": "1.2.3", **attributes}), folder / f"{number}.dcm")


def grouped(folder: Path) -> list[list[str]]:
    return [[Path(path).stem for path in study.paths] for study in group_files([folder], "study")]


A, B = {"PatientID": "QX-1"}, {"PatientID": "QX-2"}


@pytest.mark.parametrize(
    ("files", "studies"),
    [
        ([A, A], [["0", "1"]]),
        ([A, {"PatientID": "QX-1 "}], [["0", "1"]]),
        ([A, B], [["0"], ["1"]]),
        ([A, B, A], [["0", "2"], ["1"]]),
        ([A, {**A, "IssuerOfPatientID": "X"}], [["0", "1"]]),
        ([{**A, "IssuerOfPatientID": "X"}, {**A, "IssuerOfPatientID": "Y"}], [["0"], ["1"]]),
        ([{**A, "IssuerOfPatientID": "X"}, {**A, "IssuerOfPatientID": "Y"}, A], [["0"], ["1"], ["2"]]),
        ([A, {"PatientID": ""}], [["0", "1"]]),
        ([A, {"PatientID": "", "PatientName": ""}], [["0", "1"]]),
        ([A, B, {"PatientID": "", "PatientName": ""}], [["0"], ["1"], ["2"]]),
        ([A, {"PatientID": "", "PatientName": "Other^One"}], [["0"], ["1"]]),
        ([{"PatientID": "", "PatientName": "One^Name"}, {"PatientID": "", "PatientName": "one^name^"}], [["0", "1"]]),
        ([{"PatientID": "", "PatientName": "One^Name"}, {"PatientID": "", "PatientName": "Other"}], [["0"], ["1"]]),
        ([A, {**A, "PatientName": "Married^Name"}], [["0", "1"]]),
    ],
    ids=str,
)
def test_a_study_is_of_one_patient(tmp_path: Path, files: list[dict[str, Any]], studies: list[list[str]]) -> None:
    write(tmp_path, *files)
    assert grouped(tmp_path) == studies


def test_patients_of_one_uid_are_told_apart_without_their_ids(tmp_path: Path) -> None:
    write(tmp_path, A, B)
    first, second = read_studies([tmp_path])
    assert [study.id for study in (first, second)] == [f"{first.id[:-2]}-1", f"{first.id[:-2]}-2"]
    texts = [first.id, second.id, *first.warnings, *second.warnings]
    assert "2 patients" in first.warnings[0]
    assert not [text for text in texts if "QX" in text]


@pytest.mark.parametrize("uid", ["", "0", "1", "0.0", "0.0.0.0", "UNKNOWN", "ANON-1", "7.1.2", "1.2."])
def test_what_is_no_uid_joins_no_files(tmp_path: Path, uid: str) -> None:
    write(tmp_path, {"StudyInstanceUID": uid}, {"StudyInstanceUID": uid})
    assert grouped(tmp_path) == [["0"], ["1"]]
    (first, _) = read_studies([tmp_path])
    assert any("no UID" in warning for warning in first.warnings) == bool(uid)


@pytest.mark.parametrize("uid", ["", "0", "NONE"])
def test_images_without_a_uid_are_no_copies(tmp_path: Path, uid: str) -> None:
    write(tmp_path, {"SOPInstanceUID": uid}, {"SOPInstanceUID": uid})
    (study,) = read_studies([tmp_path])
    assert len(study.other_views) == 1


def test_projections_with_one_uid_are_no_copies(tmp_path: Path) -> None:
    write(tmp_path, *({"SOPInstanceUID": "1.2.9", "ViewPosition": position} for position in ("LL", "PA")))
    (study,) = read_studies([tmp_path])
    assert [view.position for view in study.other_views] == ["LATERAL"]


@pytest.mark.parametrize(
    ("group_by", "ids"),
    [
        ("folder", ["p1/study1", "p2/study1", "study2"]),
        ("study", ["p1/study1/view1.png", "p2/study1/view1.png", "p2/study2/view1.png"]),
    ],
)
def test_ids_are_each_once_in_a_run(tmp_path: Path, group_by: str, ids: list[str]) -> None:
    for folder in ("p1/study1", "p2/study1", "p2/study2"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(PIXELS.astype("uint8")).save(tmp_path / folder / "view1.png")
    assert [study.id for study in read_studies([tmp_path], ReadOptions(group_by=group_by))] == ids


def test_unreadable_files_of_two_studies_have_ids_of_their_own(tmp_path: Path) -> None:
    for folder, uid in (("a", "1.2.3"), ("b", "1.2.4")):
        for name in ("1.dcm", "2.dcm"):
            path = save(make_dataset(PIXELS, StudyInstanceUID=uid), tmp_path / folder / name)
        path.write_bytes(path.read_bytes()[:-500])
    ids = [outcome.id for outcome in read_studies([tmp_path])]
    assert len(ids) == len(set(ids)) == 4


def test_paths_to_one_place_are_numbered(tmp_path: Path) -> None:
    names = unique_names([f"{tmp_path}/a.png", f"{tmp_path}/./a.png"])
    assert len(set(names.values())) == 2
    assert all("a.png" in name for name in names.values())


def test_a_file_of_many_takes_little_memory(tmp_path: Path) -> None:
    """A hundred thousand files are listed in what their paths and ids take."""
    count = 2000
    for number in range(count):
        (tmp_path / f"{number:06d}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    group_files([tmp_path], "study", "salt")  # loads modules
    tracemalloc.start()
    try:
        studies = group_files([tmp_path], "study", "salt")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [study.id for study in studies] == [f"{number:06d}.png" for number in range(count)]
    assert peak / count < 700


# Studies that are handed on before all files were opened


def opening(folder: Path, opened: list[str], group_by: str = "study") -> StudiesFound:
    """The studies of a folder, whose files are noted down as they are opened."""

    def find(files: Sequence[FoundFile], group_by: str) -> Iterator[FileReference | None]:
        for file in files:
            opened.append(Path(file.path).name)
            yield from references([file], group_by)

    return find_studies([folder], group_by, "salt", find)


def add_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS.astype("uint8")).save(path)


def test_a_picture_does_not_wait_for_the_files_behind_it(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "d.png"):
        add_picture(tmp_path / name)
    (tmp_path / "c.txt").write_text("passed over")
    opened: list[str] = []
    studies = opening(tmp_path, opened)
    assert (studies.left, opened) == (4, [])
    taken = [(study.id, studies.left, len(opened)) for study in studies]
    assert taken == [("a.png", 3, 1), ("b.png", 2, 2), ("d.png", 0, 4)]
    assert [study.id for study in group_files([tmp_path], "study", "salt")] == ["a.png", "b.png", "d.png"]


def test_files_of_a_dicom_study_are_waited_for(tmp_path: Path) -> None:
    """And pictures behind its first file wait with it, so that the order stays."""
    add_picture(tmp_path / "a.png")
    write(tmp_path, A)
    shutil.move(tmp_path / "0.dcm", tmp_path / "b.dcm")
    add_picture(tmp_path / "c.png")
    write(tmp_path, A)
    shutil.move(tmp_path / "0.dcm", tmp_path / "d.dcm")
    opened: list[str] = []
    studies = opening(tmp_path, opened)
    taken = [([Path(path).name for path in study.paths], studies.left, len(opened)) for study in studies]
    assert taken == [(["a.png"], 3, 1), (["b.dcm", "d.dcm"], 1, 4), (["c.png"], 0, 4)]


def test_pictures_of_a_folder_are_waited_for(tmp_path: Path) -> None:
    for name in ("p/a.png", "p/q/b.png", "r/c.png"):
        add_picture(tmp_path / name)
    opened: list[str] = []
    studies = opening(tmp_path, opened, "folder")
    assert [(study.id, studies.left, len(opened)) for study in studies] == [("p", 2, 3), ("q", 1, 3), ("r", 0, 3)]


def test_ids_do_not_depend_on_what_is_not_opened_yet(tmp_path: Path) -> None:
    for name in ("p1/view.png", "p2/view.png", "p2/other.png"):
        add_picture(tmp_path / name)
    opened: list[str] = []
    studies = opening(tmp_path, opened)
    assert (next(studies).id, opened) == ("p1/view.png", ["view.png"])
    assert [study.id for study in studies] == ["other.png", "p2/view.png"]


def test_a_file_that_is_named_beside_its_folder_is_found_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        add_picture(tmp_path / name)
    paths = [tmp_path, tmp_path / "b.png", tmp_path]
    assert [(Path(file.path).name, file.is_named) for file in find_files(paths)] == [
        ("a.png", False),
        ("b.png", True),
        ("c.png", False),
    ]
    assert [(study.id, len(study.named)) for study in find_studies(paths, "study")] == [
        ("a.png", 0),
        ("b.png", 1),
        ("c.png", 0),
    ]
