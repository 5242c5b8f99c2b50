"""Formats of text that name the patient and the study of a DICOM header."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dicom_factory
import pytest
from pydicom import dcmread

from cxreport.output.formats import FORMATS, OutputFormat

PATIENT = "Ecila^Liddell"


def timeless(text: str) -> str:
    """A document with the line ends of this machine, without the time at which an HL7 message was made."""
    return re.sub(r"^([MB][SH][HS]\|(?:[^|\n]*\|){5})\d{14}[+-]\d{4}", r"\1", re.sub("\r\n?", "\n", text), flags=re.M)


ROWS = [row for row in FORMATS.values() if row.needs_header and not row.of_one_study]


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> OutputFormat:
    return request.param


@pytest.fixture
def study(phantoms: Path, tmp_path: Path) -> Path:
    """A study of a patient with a name that nothing else has."""
    dataset = dcmread(phantoms / "rle.dcm")
    dataset.PatientName = PATIENT
    return dicom_factory.save(dataset, tmp_path / "in" / "study.dcm")


def test_a_document_goes_to_stdout(generate: Callable, study: Path, row: OutputFormat) -> None:
    done = generate(study, "--format", row.name)
    assert done.exit_code == 0, done.stderr
    assert "Liddell" in done.stdout
    assert "Liddell" not in done.stderr


def test_the_suffix_chooses_the_format(generate: Callable, study: Path, tmp_path: Path, row: OutputFormat) -> None:
    stdout = generate(study, "--format", row.name).stdout
    assert generate(study, "--out", tmp_path / f"a{row.suffix}").exit_code == 0
    assert generate(study, "--format", row.name, "--out", f"{tmp_path}/out/").exit_code == 0
    (document,) = (tmp_path / "out").iterdir()
    assert document.suffix == row.suffix
    assert timeless(stdout) == timeless((tmp_path / f"a{row.suffix}").read_text()) == timeless(document.read_text())


def test_pictures_fail_and_the_others_are_drafted(
    generate: Callable, study: Path, phantoms: Path, tmp_path: Path, row: OutputFormat
) -> None:
    shutil.copy(phantoms / "normal-8bit.png", study.with_name("a.png"))
    done = generate(study.parent, "--format", row.name, "--verbose")
    assert done.exit_code == 6
    assert f"failed: a.png: {study.with_name('a.png')}: has no DICOM header" in done.stderr
    assert "2 studies: 1 drafted, 1 failed." in done.stderr
    assert "Liddell" in done.stdout
    assert "Liddell" not in done.stderr


def test_nothing_but_pictures(generate: Callable, phantoms: Path, row: OutputFormat) -> None:
    done = generate(phantoms / "normal-8bit.png", "--format", row.name)
    assert done.exit_code == 3
    assert "has no DICOM header" in done.stdout


@pytest.mark.parametrize("option", ["--from-tags", "--tags-only"])
def test_options_that_leave_no_report_of_a_patient(
    generate: Callable, study: Path, full_table: Path, tmp_path: Path, row: OutputFormat, option: str
) -> None:
    inputs = [option, full_table] if option == "--from-tags" else [study, option]
    out = tmp_path / "out"
    done = generate(*inputs, "--format", row.name, "--out", out)
    assert done.exit_code == 2
    assert f"--format {row.name} and {option} exclude one another." in done.stderr
    assert not out.exists()


def test_a_resumed_run_tries_what_had_no_header_again(
    generate: Callable, study: Path, phantoms: Path, tmp_path: Path, row: OutputFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxreport.output.file_writers import FileWriter

    shutil.copy(phantoms / "normal-8bit.png", study.with_name("a.png"))
    shutil.copy(phantoms / "j2k-pa.dcm", study.with_name("z.dcm"))
    out = tmp_path / "out"
    common = (study.parent, "--workers", 0, "--batch-size", 1, "--format", row.name, "--out")
    assert generate(*common, tmp_path / "whole").exit_code == 6
    left, write = [1, 1], FileWriter.write

    def write_two(writer: FileWriter, *arguments) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return write(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FileWriter, "write", write_two)
        assert generate(*common, out).exit_code == 130
    assert "Liddell" not in (tmp_path / "out.journal").read_text(errors="replace")
    done = generate(*common, out, "--resume")
    assert done.exit_code == 6
    assert " 1 of them in an earlier run." in done.stderr
    assert timeless(out.read_text()) == timeless((tmp_path / "whole").read_text())
