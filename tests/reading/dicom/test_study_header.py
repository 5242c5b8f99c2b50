from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dicom_factory
import pytest
from pydicom.dataset import Dataset

from cxreport.errors import MissingHeaderError
from cxreport.reading.dicom.study_header import StudyHeader, read_study_header


def dataset(encoding: str = "explicit", **attributes: object) -> Dataset:
    return dicom_factory.make_dataset(dicom_factory.phantom(64, 64), encoding=encoding, **attributes)


def header(folder: Path, **attributes: object) -> StudyHeader:
    return read_study_header(str(dicom_factory.save(dataset(**attributes), folder / "a.dcm")))


@pytest.mark.parametrize("encoding", dicom_factory.LOSSLESS)
@pytest.mark.parametrize("preamble", [True, False])
def test_a_header_is_read_in_each_encoding(tmp_path: Path, encoding: str, preamble: bool) -> None:
    if not preamble and encoding not in ("implicit", "explicit"):
        pytest.skip("not written without meta information")
    values = {"PatientID": "p 7", "IssuerOfPatientID": "Ward", "PatientBirthDate": "19400503", "PatientSex": "F"}
    study = {"AccessionNumber": "A1", "StudyDate": "20200102", "StudyTime": "030405.67"}
    made = dataset(encoding, **values, **study, TimezoneOffsetFromUTC="-0530")
    read = read_study_header(str(dicom_factory.save(made, tmp_path / "a.dcm", preamble=preamble)))
    assert (read.patient_id, read.issuer, read.birth_date, read.sex) == ("p 7", "Ward", "1940-05-03", "F")
    assert (read.accession_number, read.study_date, read.study_time) == ("A1", "2020-01-02", "03:04:05-05:30")
    assert read.study_uid == made.StudyInstanceUID
    (image,) = read.images
    assert (image.sop_class_uid, image.sop_instance_uid) == (made.SOPClassUID, made.SOPInstanceUID)
    assert (image.series_uid, image.modality) == (made.SeriesInstanceUID, "CR")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientBirthDate": "1940"}, {"birth_date": "1940"}),
        ({"PatientBirthDate": "194005"}, {"birth_date": "1940-05"}),
        ({"PatientBirthDate": "1940.05.03"}, {"birth_date": "1940-05-03"}),
        ({"PatientBirthDate": "19401399"}, {"birth_date": ""}),
        ({"PatientBirthDate": "00000000"}, {"birth_date": ""}),
        ({"PatientBirthDate": "unknown"}, {"birth_date": ""}),
        ({"PatientSex": "W"}, {"sex": "W"}),
        ({"PatientSex": ""}, {"sex": ""}),
        ({"StudyTime": "99"}, {"study_time": ""}),
        ({"StudyTime": "996099", "TimezoneOffsetFromUTC": "+0100"}, {"study_time": ""}),
        ({"StudyTime": "101112"}, {"study_time": ""}),
        ({"PatientName": None}, {"name": None}),
        ({"PatientName": "^^"}, {"name": None}),
        ({"PatientID": " a\tb\x1b "}, {"patient_id": "a b"}),
        ({"SeriesInstanceUID": "series 1"}, {"images": ()}),
        ({"SeriesInstanceUID": "1." + "1" * 70}, {"images": ()}),
    ],
)
def test_a_value_that_breaks_the_rules_is_mended_or_left_out(tmp_path: Path, attributes: dict, expected: dict) -> None:
    read = header(tmp_path, **attributes)
    assert {name: getattr(read, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("character_set", "name", "family", "given"),
    [
        ("ISO_IR 192", "山田^太郎", "山田", "太郎"),
        ("ISO_IR 192", "محمد^علي", "محمد", "علي"),
        ("ISO_IR 144", "Щедрин^Юлия", "Щедрин", "Юлия"),
        ("ISO_IR 100", "Müller^Jörg", "Müller", "Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Yamada", "Tarou"),
        ("ISO_IR 192", "=山田^太郎=", "山田", "太郎"),
    ],
)
def test_names_in_their_character_sets(
    tmp_path: Path, character_set: object, name: str, family: str, given: str
) -> None:
    read = header(tmp_path, SpecificCharacterSet=character_set, PatientName=name)
    assert read.name is not None
    assert (read.name.family, read.name.given, read.name.text) == (family, given, f"{given} {family}")


def test_images_are_those_of_the_study(tmp_path: Path) -> None:
    first, second, foreign = dataset(), dataset(), dataset()
    second.StudyInstanceUID = first.StudyInstanceUID
    paths = [
        str(dicom_factory.save(made, tmp_path / f"{place}.dcm")) for place, made in enumerate((first, second, foreign))
    ]
    (tmp_path / "text.txt").write_text("text")
    read = read_study_header(paths[0], [*paths, paths[1], str(tmp_path / "text.txt"), str(tmp_path / "missing")])
    assert [image.sop_instance_uid for image in read.images] == [first.SOPInstanceUID, second.SOPInstanceUID]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"StudyInstanceUID": None}, "StudyInstanceUID"),
        ({"StudyInstanceUID": "secret"}, "StudyInstanceUID"),
        ({"PatientID": "", "PatientName": ""}, "PatientID and PatientName are empty"),
    ],
)
def test_a_header_without_a_study_or_a_patient(tmp_path: Path, attributes: dict, reason: str) -> None:
    with pytest.raises(MissingHeaderError, match=reason) as caught:
        header(tmp_path, **attributes)
    assert not {"secret", "Phantom", "PHANTOM"} & set(caught.value.message.replace("^", " ").split())


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x89PNG\r\n\x1a\n" + b"\0" * 200])
def test_a_file_without_a_header(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MissingHeaderError, match=r"a\.png: has no DICOM header"):
        read_study_header(str(path))


def test_a_header_shows_nothing_of_the_patient(tmp_path: Path) -> None:
    read = header(tmp_path)
    shown = f"{read!r} {read.name!r} {read.images!r} {replace(read)!s}"
    assert not [text for text in ("PHANTOM", "Drawn", read.study_uid) if text in shown]
