"""DICOM objects of drafts: what they say, and whose they are."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drafted_objects import BROKEN_HEADERS, KINDS, PDF, TIME, made, mapped, mapped_report, saved
from headed_reports import HEADERS, SENTENCES, headed_report
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxreport import DISCLAIMER
from cxreport.errors import MissingMapsError
from cxreport.types import Section

pytest.importorskip("highdicom", reason="the 'dicom' extra brings it")


def again(instance: Dataset, folder: Path) -> Dataset:
    """An object as a reader of its file has it."""
    return dcmread(saved(instance, folder / "object.dcm"))


def items(instance: Dataset, depth: int = 0) -> Iterator[tuple[int, Dataset]]:
    """All content items under one, with their depths."""
    for item in instance.get("ContentSequence", []):
        yield depth, item
        yield from items(item, depth + 1)


def name(item: Dataset) -> str:
    if "ConceptNameCodeSequence" not in item:  # an image of a library
        return ""
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def said(instance: Dataset, value_type: str) -> list[str]:
    """What the items of a type say."""
    found = [item for _, item in items(instance) if item.ValueType == value_type]
    if value_type == "CODE":
        return [f"{name(item)}: {item.ConceptCodeSequence[0].CodeMeaning}" for item in found]
    if value_type == "NUM":
        return [f"{name(item)}: {item.MeasuredValueSequence[0].NumericValue}" for item in found]
    return [f"{name(item)}: {item.TextValue}" for item in found]


@pytest.mark.parametrize("attributes", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_header_is_taken(tmp_path: Path, kind: str, attributes: dict) -> None:
    report = mapped_report(tmp_path, images=3, **attributes)
    source = dcmread(report.study.sources[0])
    instance = again(made(kind, report), tmp_path / "out")
    assert instance.StudyInstanceUID == source.StudyInstanceUID
    assert instance.SeriesInstanceUID != source.SeriesInstanceUID
    assert (instance.PatientID, instance.PatientSex) != (None, "W")


@pytest.mark.parametrize(
    ("header", "patient"),
    [("Japanese", "Yamada^Tarou=山田^太郎"), ("Arabic", "محمد^علي"), ("Russian", "Иванов^Иван")],
)
@pytest.mark.parametrize("kind", KINDS)
def test_names_keep_their_letters(tmp_path: Path, kind: str, header: str, patient: str) -> None:
    report = mapped_report(tmp_path, **BROKEN_HEADERS[header])
    assert str(again(made(kind, report), tmp_path / "out").PatientName) == patient


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_draft_is_the_same_object(tmp_path: Path, kind: str) -> None:
    report = mapped_report(tmp_path, images=2)
    first, second = (saved(made(kind, report), tmp_path / "out" / each).read_bytes() for each in "ab")
    assert first == second
    later = made(kind, report, TIME + datetime.timedelta(days=1))
    assert later.SOPInstanceUID == dcmread(tmp_path / "out" / "a").SOPInstanceUID
    assert f"{datetime.datetime.now():%Y%m%d}".encode() not in first


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_another_draft_is_another_object(tmp_path: Path, kind: str) -> None:
    report = mapped_report(tmp_path, images=2)
    other_text = replace(report, sentences=report.sentences[2:])
    one_image = replace(report, study=replace(report.study, other_views=()))
    elsewhere = mapped_report(tmp_path / "b")
    uids = [made(kind, each).SOPInstanceUID for each in (report, other_text, one_image, elsewhere)]
    uids += [made(each, report).SOPInstanceUID for each in KINDS if each != kind]
    assert len(set(uids)) == len(uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_files_lie_makes_no_difference(tmp_path: Path, kind: str) -> None:
    report = mapped_report(tmp_path, images=3)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = [elsewhere / f"{9 - place}.dcm" for place in range(3)]
    for old, new in zip(report.study.sources, moved, strict=True):
        shutil.copy(old, new)
    assert report.study.view is not None
    view = replace(report.study.view, info=replace(report.study.view.info, source=str(moved[0])))
    pairs = zip(report.study.other_views, moved[1:], strict=True)
    others = tuple(replace(other, source=str(path)) for other, path in pairs)
    warning = f"{moved[1]}: is a copy."
    study = replace(report.study, view=view, other_views=others[::-1], sources=tuple(map(str, moved)))
    other = replace(report, study=study, warnings=(*report.warnings, warning))
    first, second = (saved(made(kind, each), tmp_path / "out").read_bytes() for each in (report, other))
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_says_who_made_it_and_for_what(tmp_path: Path, kind: str) -> None:
    instance = again(made(kind, mapped_report(tmp_path)), tmp_path / "out")
    assert "Research use only" in instance.SeriesDescription
    (equipment,) = instance.ContributingEquipmentSequence
    assert (equipment.Manufacturer, equipment.ContributionDescription) == ("cxreport", DISCLAIMER)
    assert "ab" * 32 in equipment.SoftwareVersions
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_in_the_zone_of_the_study(tmp_path: Path, kind: str) -> None:
    here = made(kind, mapped_report(tmp_path))
    assert f"{here.ContentDate} {here.ContentTime}" == f"{TIME.astimezone():%Y%m%d %H%M%S}"
    assert "TimezoneOffsetFromUTC" not in here
    east = made(kind, mapped_report(tmp_path / "b", TimezoneOffsetFromUTC="+1100"))
    assert (str(east.ContentDate), str(east.ContentTime)) == ("20200203", "150506")
    assert east.TimezoneOffsetFromUTC == "+1100"


def test_a_structured_report_says_what_the_report_says(tmp_path: Path) -> None:
    document = again(made("sr", headed_report(tmp_path)), tmp_path / "out")
    headings = [name(item) for depth, item in items(document) if item.ValueType == "CONTAINER"]
    assert headings == ["Current Procedure Descriptions", "Findings", "Impressions"]
    texts = said(document, "TEXT")
    assert [text for text in texts if text.startswith(("Finding:", "Impression:"))] == [
        "Finding: There is a left effusion & more <here>.",
        "Finding: No pneumothorax.",
        "Finding: Possible opacity.",
        "Impression: Left effusion.",
    ]
    assert f"Procedure Description: {DISCLAIMER}" in texts
    assert "Procedure Description: Unlike the others." in texts
    flags = (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2000"


def test_what_is_present_is_coded_once_and_nothing_else(tmp_path: Path) -> None:
    document = again(made("sr", headed_report(tmp_path)), tmp_path / "out")
    assert [text for text in said(document, "CODE") if text.startswith(("Finding", "Impression"))] == [
        "Finding: Pleural effusion"
    ]
    assert said(document, "NUM") == ["Certainty of Finding: 91.23"]
    number = next(item for _, item in items(document) if item.ValueType == "NUM")
    assert [f"{name(item)}: {item.TextValue}" for item in number.ContentSequence] == [
        "Equivalent Meaning of Concept Name: Calibrated probability of Pleural Effusion, research use only",
        "Algorithm Name: made",
        "Algorithm Version: 1",
        *(text for text in said(document, "TEXT") if text.startswith("Algorithm Parameters")),
    ]
    assert "272519000" not in str(document)


def test_a_probability_of_what_has_no_code_is_a_ground_of_its_sentence(tmp_path: Path) -> None:
    opacity = replace(SENTENCES[2].statements[0], probability=0.4)
    sentences = (replace(SENTENCES[2], statements=(opacity,)),)
    document = again(made("sr", headed_report(tmp_path, sentences=sentences)), tmp_path / "out")
    sentence = next(item for _, item in items(document) if name(item) == "Finding")
    assert said(sentence, "NUM") == ["Certainty of Finding: 40"]
    assert [text for text in said(document, "CODE") if text.startswith("Finding")] == []


def test_measurements_have_a_code_where_they_reach_the_threshold(tmp_path: Path) -> None:
    document = again(made("measurements", headed_report(tmp_path)), tmp_path / "out")
    groups = [item for _, item in items(document) if name(item) == "Measurement Group"]
    assert [said(group, "NUM") for group in groups] == [
        ["Certainty of Finding: 91.23"],
        ["Certainty of Finding: 5"],
    ]
    assert [said(group, "CODE") for group in groups] == [["Finding: Pleural effusion"], []]
    names = [text for group in groups for text in said(group, "TEXT") if text.startswith("Tracking")]
    assert names == ["Tracking Identifier: Effusion", "Tracking Identifier: Pneumothorax"]
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_a_report_without_a_sentence_is_a_document(tmp_path: Path) -> None:
    document = again(made("sr", headed_report(tmp_path, sentences=())), tmp_path / "out")
    assert [name(item) for _, item in items(document) if item.ValueType == "CONTAINER"] == [
        "Current Procedure Descriptions"
    ]


def test_the_evidence_is_the_images_by_their_series(tmp_path: Path) -> None:
    report = mapped_report(tmp_path, images=3)
    path = Path(report.study.sources[2])
    lateral = dcmread(path)
    lateral.SeriesInstanceUID = "1.2.3"
    lateral.save_as(path)
    headers = [dcmread(source) for source in report.study.sources]
    heat_map = made("sc", report)
    for kind, more in (("sr", []), ("linked sr", [heat_map])):
        document = again(made(kind, report), tmp_path / "out")
        (study,) = document.CurrentRequestedProcedureEvidenceSequence
        found = {
            series.SeriesInstanceUID: [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence]
            for series in study.ReferencedSeriesSequence
        }
        expected: dict[str, list[str]] = {}
        for header in [*headers, *more]:
            expected.setdefault(header.SeriesInstanceUID, []).append(header.SOPInstanceUID)
        assert found == expected
        assert study.StudyInstanceUID == headers[0].StudyInstanceUID


def test_what_is_stated_leads_to_the_heat_map(tmp_path: Path) -> None:
    report = mapped_report(tmp_path)
    heat_map = made("sc", report)
    document = again(made("linked sr", report), tmp_path / "out")
    linked = [
        item.TextValue
        for _, item in items(document)
        for child in item.get("ContentSequence", [])
        if child.ValueType == "IMAGE" and name(child) == "Visual explanation"
        if child.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == heat_map.SOPInstanceUID
    ]
    assert linked == [sentence.text for sentence in SENTENCES if sentence.affirmed]
    assert "Visual explanation" not in str(made("sr", report))


def test_a_heat_map_has_its_notice_and_findings_in_the_pixels(tmp_path: Path) -> None:
    report = mapped_report(tmp_path, StudyDescription="Chest")
    image = again(made("sc", report), tmp_path / "out")
    pixels = image.pixel_array
    assert pixels.shape[1:] == (512, 3)
    assert (image.BurnedInAnnotation, image.BodyPartExamined, image.StudyDescription) == ("YES", "CHEST", "Chest")
    assert image.PhotometricInterpretation == "RGB"
    above = (pixels.shape[0] - 512) // 4
    assert pixels[:above].max() == 255
    picture = pixels[-512 - 68 : -68]
    assert np.ptp(picture.astype(int), axis=-1).max() > 30
    other = made("sc", replace(report, sentences=mapped(SENTENCES[2:3])))
    assert not np.array_equal(dcmread(saved(other, tmp_path / "b")).pixel_array[-60:], pixels[-60:])


def test_a_report_that_states_nothing_has_a_picture_without_colours(tmp_path: Path) -> None:
    image = again(made("sc", mapped_report(tmp_path, sentences=SENTENCES[1:2])), tmp_path / "out")
    assert np.ptp(image.pixel_array.astype(int), axis=-1).max() == 0


def test_colours_are_those_of_other_maps(tmp_path: Path) -> None:
    from cxreport.explain import heatmap
    from cxreport.output.hospital.objects.heat_map import picture

    report = mapped_report(tmp_path, sentences=SENTENCES[:1])
    assert report.study.view is not None
    assert report.sentences[0].map is not None
    expected = heatmap.overlay(heatmap.enlarged(report.study.view.pixels, 512), report.sentences[0].map.weights)
    shown = picture(report)[28 : 28 + 512]
    assert np.abs(shown.astype(int) - expected).max() <= 2


def test_a_bundle_without_maps_has_no_heat_maps(tmp_path: Path) -> None:
    with pytest.raises(MissingMapsError, match="no maps"):
        made("sc", headed_report(tmp_path))


def test_a_document_is_kept_whole(tmp_path: Path) -> None:
    instance = again(made("pdf", headed_report(tmp_path, images=2)), tmp_path / "out")
    assert len(instance.EncapsulatedDocument) % 2 == 0
    assert instance.EncapsulatedDocument[: instance.EncapsulatedDocumentLength] == PDF
    assert (instance.Modality, instance.ConversionType) == ("DOC", "WSD")
    assert len(instance.SourceInstanceSequence) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_own_objects_are_never_drafted(generate: Callable, tmp_path: Path, kind: str) -> None:
    report = mapped_report(tmp_path / "in", BodyPartExamined="CHEST")
    path = saved(made(kind, report), tmp_path / "own" / "a.dcm")
    for place in (path, path.parent):
        for options in [[]] if kind == "sc" else [[], ["--force"]]:
            done = generate(place, "--json", "--tags-only", *options)
            assert done.exit_code == 3, done.stderr
            assert '"tags"' not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_libraries_say_nothing_of_the_patient(tmp_path: Path, kind: str, recwarn: pytest.WarningsRecorder) -> None:
    report = mapped_report(tmp_path, PatientName="Lonely", ReferringPhysicianName="Lonely", PatientID="Lonely")
    recwarn.clear()
    saved(made(kind, report), tmp_path / "out")
    assert [str(each.message) for each in recwarn if "Lonely" in str(each.message)] == []


@pytest.mark.parametrize("section", list(Section))
def test_a_text_of_control_characters_is_one_line(tmp_path: Path, section: Section) -> None:
    sentences = (replace(SENTENCES[0], section=section, text="A\x00\x1b[1m\nb."), replace(SENTENCES[1], text="\n"))
    document = again(made("sr", headed_report(tmp_path, sentences=sentences)), tmp_path / "out")
    texts = [text for text in said(document, "TEXT") if text.startswith(("Finding", "Impression"))]
    assert sorted(text.split(": ")[1] for text in texts) == ["-", "A [1m b."]


def test_headers_without_valid_uids_are_no_evidence(tmp_path: Path) -> None:
    report = mapped_report(tmp_path, **HEADERS["without a series"])
    assert "CurrentRequestedProcedureEvidenceSequence" not in made("sr", report)
    assert "SourceImageSequence" not in made("sc", report)
    assert "SourceInstanceSequence" not in made("pdf", report)
