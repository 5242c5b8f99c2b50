"""Formats with a document of bytes for each study, several formats in one run, and where both may go."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import records

from cxreport.errors import MissingHeaderError
from cxreport.output.file_writers import FolderWriter
from cxreport.output.formats import FORMATS, OutputFormat
from cxreport.output.formatters import StudyFormatter
from cxreport.types import Report

MAGIC = b"\x00\xffsheet "


class SheetFormatter(StudyFormatter):
    """Bytes that are no text; a study whose id ends with "x.png" does not fit."""

    def document(self, report: Report) -> bytes:
        if report.study.id.endswith("x.png"):
            raise MissingHeaderError(f"{report.study.id}: does not fit.")
        return MAGIC + report.study.id.encode()


@pytest.fixture(autouse=True)
def sheet(monkeypatch: pytest.MonkeyPatch) -> OutputFormat:
    row = OutputFormat("sheet", "bytes", ".sheet", SheetFormatter)
    monkeypatch.setitem(FORMATS, "sheet", row)
    return row


@pytest.fixture
def pictures(phantoms: Path, tmp_path: Path) -> Path:
    """Three studies: one is fine, one fails, one does not fit a sheet."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "x.png"):
        shutil.copy(phantoms / "normal-8bit.png", folder / name)
    (folder / "b.png").write_text("not a picture")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_study_goes_to_a_file(generate: Callable, pictures: Path, tmp_path: Path) -> None:
    for arguments in (["--out", tmp_path / "a.SHEET"], ["--format", "sheet", "--out", tmp_path / "b"]):
        done = generate(pictures / "a.png", "--tags-only", *arguments)
        assert (done.exit_code, done.stdout) == (0, ""), done.stderr
        assert arguments[-1].read_bytes() == MAGIC + b"a.png"
    assert names(tmp_path) == ["a.SHEET", "b", "in"]


def test_one_study_goes_to_a_pipe(generate: Callable, pictures: Path) -> None:
    done = generate(pictures / "a.png", "--tags-only", "--format", "sheet")
    assert (done.exit_code, done.stdout_bytes) == (0, MAGIC + b"a.png")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
def test_one_study_goes_to_a_fifo(generate: Callable, pictures: Path, tmp_path: Path) -> None:
    import threading

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    thread.start()
    assert generate(pictures / "a.png", "--tags-only", "--format", "sheet", "--out", fifo).exit_code == 0
    thread.join(timeout=60)
    assert got == [MAGIC + b"a.png"]


def test_a_terminal_gets_no_bytes(generate: Callable, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxreport.cli import options

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)

    class Streams:
        stdout = terminal

    monkeypatch.setattr(options, "sys", Streams)
    done = generate(pictures / "a.png", "--tags-only", "--format", "sheet")
    assert done.exit_code == 2
    assert "--format sheet is not written to a terminal." in done.stderr
    assert "--out FILE.sheet" in done.stderr


@pytest.mark.parametrize("out", [None, "out.sheet"])
def test_two_studies_need_a_folder(
    generate: Callable, phantoms: Path, tmp_path: Path, pictures: Path, out: str | None
) -> None:
    (pictures / "b.png").unlink()
    shutil.copy(phantoms / "normal-8bit.png", pictures / "c.png")
    arguments = [] if out is None else ["--out", tmp_path / out]
    done = generate(pictures / "a.png", pictures / "c.png", "--tags-only", "--format", "sheet", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there are several studies" in done.stderr
    assert "--out DIR/" in done.stderr
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize("out", [None, "out.sheet"])
def test_a_file_that_fails_beside_the_study_is_named(
    generate: Callable, pictures: Path, tmp_path: Path, out: str | None
) -> None:
    arguments = [] if out is None else ["--out", tmp_path / out]
    done = generate(pictures / "b.png", pictures / "a.png", "--tags-only", "--format", "sheet", *arguments)
    assert done.exit_code == 6
    assert "failed: b.png" in done.stderr
    assert (done.stdout_bytes if out is None else (tmp_path / out).read_bytes()) == MAGIC + b"a.png"


@pytest.mark.parametrize(("name", "code"), [("b.png", 3), ("x.png", 3)])
def test_a_study_that_fails_has_no_document(
    generate: Callable, pictures: Path, tmp_path: Path, name: str, code: int
) -> None:
    done = generate(pictures / name, "--tags-only", "--out", tmp_path / "out.sheet")
    assert done.exit_code == code
    assert f"failed: {name}" in done.stderr
    assert names(tmp_path) == ["in"]


def test_a_folder_gets_the_files_of_all_formats(generate: Callable, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png.sheet").write_bytes(b"of an earlier run, when it could be read")
    formats = ("--format", "json", "--format", "sheet", "--format", "json", "--format", "text")
    done = generate(pictures, "--tags-only", *formats, "--out", out)
    assert done.exit_code == 6
    assert "3 studies: 1 drafted, 2 failed." in done.stderr
    assert "failed: x.png: x.png: does not fit." in done.stderr
    both = [f"{name}{suffix}" for name in ("a.png", "b.png", "x.png") for suffix in (".json", ".txt")]
    assert names(out) == sorted([*both, "a.png.sheet"])


@pytest.mark.parametrize("out", [[], ["--out", "out.json"], ["--out", "new"]])
def test_several_formats_need_a_folder(generate: Callable, pictures: Path, out: list[str], tmp_path: Path) -> None:
    place = [tmp_path / name if name != "--out" else name for name in out]
    done = generate(pictures, "--format", "json", "--format", "text", *place)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Several formats need a folder." in done.stderr
    assert names(tmp_path) == ["in"]


def test_a_format_that_a_study_has_no_header_for_fails_it_and_the_others_are_written(
    generate: Callable, pictures: Path, tmp_path: Path
) -> None:
    done = generate(pictures / "a.png", "--format", "hl7", "--format", "jsonl", "--out", f"{tmp_path}/out/")
    assert done.exit_code == 3
    assert "has no DICOM header" in done.stderr
    (record,) = records(next((tmp_path / "out").glob("*.jsonl")).read_text())
    assert record["report"]
    assert "has no DICOM header" in next((tmp_path / "out").glob("*.hl7")).read_text()


def test_options_need_one_format_that_holds_what_they_ask_for(
    generate: Callable, pictures: Path, tmp_path: Path
) -> None:
    out = f"{tmp_path}/out/"
    done = generate(pictures / "a.png", "--attention", "--format", "sheet", "--format", "json", "--out", out)
    assert done.exit_code == 0, done.stderr
    (record,) = json.loads(next(Path(out).glob("*.json")).read_text())
    assert all("map" in sentence for sentence in record["sentences"])
    assert (
        generate(pictures / "a.png", "--attention", "--format", "sheet", "--format", "csv", "--out", out).exit_code == 2
    )


def test_a_format_whose_extra_is_missing(
    generate: Callable, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = OutputFormat("far", "bytes", ".far", SheetFormatter, extra="far-extra", package="no_such_package")
    monkeypatch.setitem(FORMATS, "far", row)
    done = generate(pictures / "a.png", "--out", tmp_path / "a.far")
    assert done.exit_code == 5
    assert "--format far needs the 'far-extra' extra." in done.stderr
    assert names(tmp_path) == ["in"]


class Killed(BaseException):
    """Stands in for kill -9."""


@pytest.mark.parametrize("lost", [None, "0.png.sheet", "0.png.json"])
def test_a_resumed_study_is_done_when_all_its_files_are(
    generate: Callable, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str | None
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        shutil.copy(phantoms / "normal-8bit.png", folder / f"{number}.png")
    formats = ("--format", "json", "--format", "sheet")
    common = (folder, "--tags-only", "--workers", 0, "--batch-size", 1, *formats, "--out", f"{tmp_path}/out/")
    write, left = FolderWriter.write, [1, 1]

    def write_two(writer: FolderWriter, *arguments) -> object:
        if not left:
            raise Killed
        left.pop()
        return write(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FolderWriter, "write", write_two)
        patch.setattr(FolderWriter, "close", lambda *_: None)
        with pytest.raises(Killed):
            generate(*common)
    written = names(tmp_path / "out")
    if lost:
        (tmp_path / "out" / lost).unlink()
    done = generate(*common, "--resume")
    assert done.exit_code == 0, done.stderr
    assert f"4 studies: 4 drafted, 0 failed. {1 if lost else 2} of them in an earlier run." in done.stderr
    assert len(names(tmp_path / "out")) == 8
    assert set(written) - {".journal"} <= set(names(tmp_path / "out"))


def test_another_choice_of_formats_is_another_run(
    generate: Callable, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = (pictures, "--tags-only", "--workers", 0, "--batch-size", 1, "--out", f"{tmp_path}/out/")
    write, left = FolderWriter.write, [1]

    def write_one(writer: FolderWriter, *arguments) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return write(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FolderWriter, "write", write_one)
        assert generate(*common, "--format", "json").exit_code == 130
    done = generate(*common, "--format", "json", "--format", "sheet", "--resume")
    assert done.exit_code == 6
    assert "whose settings were others: format" in done.stderr


def test_python_makes_the_same_documents(tiny_bundle: Path, phantoms: Path) -> None:
    import cxreport

    manifest = cxreport.load_manifest(tiny_bundle)
    formatter = cxreport.get_formatter("sheet", manifest)
    (study,) = cxreport.read_studies([phantoms / "normal-8bit.png"])
    report = Report(study=study, tags=(), plan=())
    assert formatter.alone(report) == (report, MAGIC + b"normal-8bit.png")
