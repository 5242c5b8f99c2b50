"""`cxreport generate --format sr --format sc`: DICOM objects of studies, beside other documents."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dicom_factory
import pytest
from pydicom import dcmread

from cxreport.cli import render as cli_render
from cxreport.model.bundle import load_manifest

pytest.importorskip("highdicom", reason="the 'dicom' extra brings it")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A radiograph of a patient."""
    image = dicom_factory.make_dataset(
        dicom_factory.phantom(), PatientName="Secret^Name", PatientID="SECRET-ID", ViewPosition="PA"
    )
    return dicom_factory.save(image, tmp_path / "in" / "a.dcm")


def test_one_run_writes_linked_objects(generate: Callable, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = ["--format", "sr", "--format", "sc", "--format", "csv"]
    done = generate("--force", study.parent, *formats, "--out", f"{out}/")
    assert done.exit_code == 0, done.stderr
    assert sorted("".join(path.suffixes) for path in out.iterdir()) == [".csv", ".sc.dcm", ".sr.dcm"]
    assert len({path.name.split(".")[0] for path in out.iterdir()}) == 1
    assert "SECRET" not in (done.stderr + done.stdout).upper()
    document, image = (dcmread(next(out.glob(f"*.{kind}.dcm"))) for kind in ("sr", "sc"))
    source = dcmread(study)
    for instance in (document, image):
        assert (instance.PatientID, instance.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    evidence = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    referenced = [item.ReferencedSOPInstanceUID for series in evidence for item in series.ReferencedSOPSequence]
    assert referenced == [source.SOPInstanceUID, image.SOPInstanceUID]
    assert (document.ContentDate, document.ContentTime) == (image.ContentDate, image.ContentTime)


def test_a_second_run_makes_the_same_objects_and_reads_none(generate: Callable, study: Path, tmp_path: Path) -> None:
    arguments = ["--force", study.parent, "--format", "sr", "--format", "sc", "--out", f"{study.parent}/"]
    uids = []
    for _ in range(2):
        done = generate(*arguments)
        assert done.exit_code == 0, done.stderr
        uids.append({path.name: dcmread(path).SOPInstanceUID for path in study.parent.iterdir()})
    assert len(uids[0]) == 3
    assert uids[0] == uids[1]


def test_objects_of_a_record_are_those_of_its_draft(
    generate: Callable,
    run_cli: Callable,
    study: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli_render, "_SIDE", load_manifest(tiny_bundle).sizes.image)  # it takes the shipped bundle's
    formats = ["--format", "sr", "--format", "sc"]
    assert generate("--force", study, *formats, "--format", "jsonl", "--out", f"{tmp_path}/a/").exit_code == 0
    (record,) = (tmp_path / "a").glob("*.jsonl")
    done = run_cli("render", record, *formats, "--out", f"{tmp_path}/b/")
    assert done.exit_code == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.dcm")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == made
    assert len(made) == 2


def test_a_record_without_maps_has_no_heat_map(
    generate: Callable, run_cli: Callable, study: Path, tmp_path: Path
) -> None:
    assert generate("--force", study, "--out", tmp_path / "a.jsonl").exit_code == 0
    done = run_cli("render", tmp_path / "a.jsonl", "--format", "sc", "--out", tmp_path / "a.sc.dcm")
    assert done.exit_code == 3
    assert "its sentences have no maps" in done.stderr
    both = ["--format", "sc", "--format", "sr", "--out", f"{tmp_path}/both/"]
    assert "its sentences have no maps" in run_cli("render", tmp_path / "a.jsonl", *both).stderr
    assert [path.name[-len(".sr.dcm") :] for path in (tmp_path / "both").iterdir()] == [".sr.dcm"]


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_a_picture_has_no_object(generate: Callable, phantoms: Path, tmp_path: Path, kind: str) -> None:
    done = generate(phantoms / "normal-8bit.png", "--force", "--format", kind, "--out", tmp_path / "a.dcm")
    assert done.exit_code == 3
    assert "DICOM header" in done.stderr
    assert not (tmp_path / "a.dcm").exists()


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_an_object_goes_to_a_pipe(generate: Callable, study: Path, tmp_path: Path, kind: str) -> None:
    done = generate(study, "--force", "--format", kind)
    assert done.exit_code == 0, done.stderr
    assert dcmread(io.BytesIO(done.stdout_bytes)).PatientID == "SECRET-ID"
    assert "secret" not in done.stderr.lower()


@pytest.mark.parametrize(("name", "modality"), [("a.sr.dcm", "SR"), ("a.SC.dcm", "OT")])
def test_the_name_of_a_file_chooses_the_kind(
    generate: Callable, study: Path, tmp_path: Path, name: str, modality: str
) -> None:
    assert generate(study, "--force", "--out", tmp_path / name).exit_code == 0
    assert dcmread(tmp_path / name).Modality == modality


def test_a_suffix_of_all_objects_chooses_none(generate: Callable, study: Path, tmp_path: Path) -> None:
    done = generate(study, "--force", "--out", tmp_path / "a.dcm")
    assert done.exit_code == 2
    assert "sr (.sr.dcm)" in done.stderr


def test_without_the_extra_there_is_a_hint(generate: Callable, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "highdicom" else find_spec(name, *rest)
    )
    done = generate(study, "--format", "sr")
    assert done.exit_code == 5
    assert "cxreport[dicom]" in done.stderr


def test_maps_need_sentences(generate: Callable, study: Path) -> None:
    done = generate(study, "--format", "sc", "--tags-only")
    assert done.exit_code == 2
    assert "--format sc and --tags-only exclude one another." in done.stderr


def test_what_fails_in_a_folder_does_not_stop_the_others(
    generate: Callable, study: Path, phantoms: Path, tmp_path: Path
) -> None:
    shutil.copy(phantoms / "normal-8bit.png", study.parent / "b.png")
    out = tmp_path / "out"
    done = generate("--force", study.parent, "--format", "sr", "--format", "jsonl", "--out", f"{out}/")
    assert done.exit_code == 6
    assert len(list(out.glob("*.sr.dcm"))) == 1
    assert sum("findings" in json.loads(path.read_text()) for path in out.glob("*.jsonl")) == 2
