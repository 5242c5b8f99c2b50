from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from drafted_objects import BROKEN_HEADERS
from headed_reports import headed_report

from cxreport.errors import MissingHeaderError
from cxreport.reading.headers.study_modules import StudyModules, read_study_modules

TYPE_2 = {
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
}


def modules(folder: Path, **attributes) -> StudyModules:
    return read_study_modules(headed_report(folder, **attributes).study.sources[0])


@pytest.mark.parametrize(
    ("header", "mended"),
    [
        (
            "full",
            {"PatientBirthDate": "19400503", "PatientSex": "F", "StudyTime": "030405", "IssuerOfPatientID": "Ward"},
        ),
        ("of another sex", {"PatientSex": ""}),
        ("of lower case", {"PatientSex": "F", "PatientAge": "079Y"}),
        ("born in a year", {"PatientBirthDate": ""}),
        ("at no time", {"StudyDate": "20200102", "StudyTime": ""}),
        ("of an old standard", {"StudyDate": "19940201", "StudyTime": "101112"}),
        ("with wrong dates", {"StudyDate": "", "PatientBirthDate": "", "StudyTime": ""}),
        ("with an id that is too long", {"PatientID": "", "AccessionNumber": "", "StudyID": ""}),
        ("with several ids", {"PatientID": "", "AccessionNumber": ""}),
        ("with a long name", {"PatientName": "A" * 64}),
        ("with too many parts", {"PatientName": "A^B^C^D^E=G=H"}),
        ("with a long description", {"StudyDescription": ("chest " * 20)[:64].rstrip()}),
        ("with wrong numbers", {"PatientAge": None, "PatientWeight": None, "PatientSize": None}),
        ("Japanese", {"PatientName": "Yamada^Tarou=山田^太郎"}),
        ("Arabic", {"PatientName": "محمد^علي"}),
        ("Russian", {"PatientName": "Иванов^Иван", "StudyDescription": "Грудь"}),
        ("with a wrong zone", {"TimezoneOffsetFromUTC": None}),
        ("without a name", {"PatientName": "", "PatientID": "PHANTOM"}),
    ],
)
def test_values_are_mended_or_left_out(tmp_path: Path, header: str, mended: dict[str, str | None]) -> None:
    attributes = modules(tmp_path, **BROKEN_HEADERS[header]).attributes
    found = {keyword: str(attributes[keyword].value or "") if keyword in attributes else None for keyword in mended}
    assert found == mended
    assert attributes.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("attributes", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
def test_attributes_of_type_2_are_there(tmp_path: Path, attributes: dict) -> None:
    assert {element.keyword for element in modules(tmp_path, **attributes).attributes} >= TYPE_2


def test_the_zone_is_that_of_the_study(tmp_path: Path) -> None:
    found = modules(tmp_path, TimezoneOffsetFromUTC="-0330")
    assert found.zone == datetime.timezone(-datetime.timedelta(hours=3, minutes=30))
    assert found.attributes.TimezoneOffsetFromUTC == "-0330"
    assert modules(tmp_path / "other").zone is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientID": "", "PatientName": ""},
        {"PatientID": "1" * 65, "PatientName": ""},
        {"StudyInstanceUID": "no uid"},
        {"StudyInstanceUID": "1." + "2" * 64},
    ],
    ids=["nobody", "an id that is too long", "no study", "a study that is too long"],
)
def test_without_a_patient_or_study_there_are_none(tmp_path: Path, attributes: dict) -> None:
    with pytest.raises(MissingHeaderError) as caught:
        modules(tmp_path, **attributes)
    assert "1111" not in caught.value.message


def test_a_name_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    path = Path(headed_report(tmp_path, PatientName="Phantom^Drawn").study.sources[0])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Phantom^Drawn", b"Phantom^\xff\xfe\xfdaw"))
    whole = modules_with_utf_8(path)
    assert str(whole.attributes.PatientName) == ""
    assert whole.attributes.PatientID == "PHANTOM"


def modules_with_utf_8(path: Path) -> StudyModules:
    """Modules of a file that is said to be in UTF-8."""
    content = path.read_bytes()
    at = content.index(b"\x08\x00\x16\x00UI")  # the element behind Specific Character Set
    path.write_bytes(content[:at] + b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192" + content[at:])
    return read_study_modules(str(path))


def test_nothing_of_a_patient_is_in_the_text_of_modules(tmp_path: Path) -> None:
    assert "Phantom" not in repr(modules(tmp_path))
