from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import records
from pydicom import dcmread

from cxreport.output.file_writers import FileWriter
from cxreport.output.formats import FORMATS


@pytest.fixture
def folder(phantoms: Path, tmp_path: Path) -> Path:
    """A DICOM study, a picture, and a file that fails."""
    place = tmp_path / "in"
    place.mkdir()
    shutil.copy(phantoms / "normal-8bit.png", place / "a.png")
    shutil.copy(phantoms / "rle.dcm", place / "b.dcm")
    (place / "c.png").write_text("not a picture")
    return place


@pytest.fixture
def drafted(generate: Callable, folder: Path, tmp_path: Path) -> Path:
    """Records of the folder."""
    path = tmp_path / "drafted.jsonl"
    assert generate(folder, "--attention", "--out", path).exit_code == 6
    return path


def test_json_lines_come_out_as_they_went_in(run_cli: Callable, drafted: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    done = run_cli("render", drafted, "--format", "jsonl")
    assert done.exit_code == 6
    assert done.stdout == drafted.read_text()
    assert "3 studies: 2 drafted, 1 failed." in done.stderr
    stdin = run_cli("render", "-", "--format", "jsonl", stdin=drafted.read_text())
    assert stdin.stdout == done.stdout


@pytest.mark.parametrize("name", [row.name for row in FORMATS.values() if not (row.needs_header or row.of_one_study)])
def test_documents_are_those_of_generate(
    generate: Callable, run_cli: Callable, drafted: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    (record, *_) = (line for line in drafted.read_text().splitlines())
    (tmp_path / "one.jsonl").write_text(record + "\n")
    expected = generate(folder / "a.png", "--format", name, *(["--attention"] if "json" in name else [])).stdout
    done = run_cli("render", tmp_path / "one.jsonl", "--format", name)
    assert done.exit_code == 0, done.stderr
    if "json" in name:
        assert '"timing_ms"' in done.stdout
    else:
        assert done.stdout == expected


@pytest.mark.parametrize("kind", ["array", "folder", "file after file"])
def test_records_come_in_files_of_every_kind(run_cli: Callable, drafted: Path, tmp_path: Path, kind: str) -> None:
    lines = drafted.read_text().splitlines()
    places: list[object] = [tmp_path / "records.json"]
    if kind == "array":
        places[0].write_text(json.dumps([json.loads(line) for line in lines], indent=2))
    else:
        place = tmp_path / "records"
        place.mkdir()
        for number, line in enumerate(lines):
            (place / f"{number}.json").write_text(f"[\n{line}\n]\n")
        (place / "notes.txt").write_text("not a record")
        places = [place] if kind == "folder" else [place / f"{number}.json" for number in range(3)]
    done = run_cli("render", *places, "--format", "jsonl")
    assert done.stdout == drafted.read_text()


def test_pages_show_the_pictures_again(run_cli: Callable, drafted: Path, tmp_path: Path) -> None:
    done = run_cli("render", drafted, "--format", "html", "--format", "plain", "--out", f"{tmp_path}/out/")
    assert done.exit_code == 6, done.stderr
    pages = sorted((tmp_path / "out").glob("*.html"))
    assert [page.name.split("-")[0] for page in pages] == ["a.png.html", "c.png.html", "index.html", "study"]
    for page in (pages[0], pages[3]):
        assert 'src="data:image/png' in page.read_text()
        assert "data-map" in page.read_text()
    assert "No report was drafted" in pages[1].read_text()
    assert len(list((tmp_path / "out").glob("*.plain.txt"))) == 2


def test_without_pictures_nothing_is_opened(run_cli: Callable, drafted: Path, folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder)
    done = run_cli("render", drafted, "--format", "html", "--no-pictures", "--out", f"{tmp_path}/out/")
    assert "2 drafted" in done.stderr
    assert not [page for page in (tmp_path / "out").glob("*.html") if "<img" in page.read_text()]


def test_sources_are_found_by_their_names(run_cli: Callable, drafted: Path, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved" / "deep" / "in"
    moved.parent.mkdir(parents=True)
    folder.rename(moved)
    gone = run_cli("render", drafted, "--format", "html", "--out", f"{tmp_path}/gone/")
    assert gone.exit_code == 3
    assert gone.stderr.count("The image of the record is not there.") == 2
    (tmp_path / "moved" / "b.dcm").write_text("another file of that name")
    done = run_cli("render", drafted, "--sources", tmp_path / "moved", "--format", "html", "--out", f"{tmp_path}/out/")
    assert "3 studies: 2 drafted, 1 failed." in done.stderr, done.stderr


def test_the_file_of_another_study_is_refused(run_cli: Callable, drafted: Path, folder: Path, tmp_path: Path) -> None:
    dataset = dcmread(folder / "b.dcm")
    dataset.StudyInstanceUID = "1.2.3.4.5.6.7.8"
    dataset.save_as(folder / "b.dcm")
    done = run_cli("render", drafted, "--format", "html", "--format", "fhir", "--out", f"{tmp_path}/out/")
    assert "b.dcm: is not of the study of the record." in done.stderr
    assert "1.2.3.4.5.6.7.8" not in done.stderr
    assert "1.2.3.4.5.6.7.8" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())


def test_another_secret_does_not_recognise_a_study(run_cli: Callable, drafted: Path, tmp_path: Path) -> None:
    done = run_cli("render", drafted, "--format", "html", "--salt", "other", "--out", f"{tmp_path}/out/")
    assert "3 studies: 1 drafted, 2 failed." in done.stderr
    assert "b.dcm: is not of the study of the record." in done.stderr


@pytest.mark.parametrize("name", [row.name for row in FORMATS.values() if row.needs_header])
def test_the_patient_is_read_from_the_source(
    run_cli: Callable, drafted: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    dataset = dcmread(folder / "b.dcm")
    dataset.PatientName = "Ecila^Liddell"
    dataset.save_as(folder / "b.dcm")
    done = run_cli("render", drafted, "--format", name, "--verbose")
    assert done.exit_code == 6
    assert "Liddell" in done.stdout
    assert "Liddell" not in done.stderr
    assert "a.png: has no DICOM header" in done.stderr


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "This is no JSON object."),
        ("[1]", "no JSON object"),
        ('{"id": "x", "text": "Normal."}', "no record of schema version 2"),
        ("version 1", "no record of schema version 2"),
        ("changed", "are not the text of its sentences"),
        ("other model", "another model"),
    ],
)
def test_a_line_that_is_no_record_fails_alone(
    run_cli: Callable, drafted: Path, tmp_path: Path, line: str, error: str
) -> None:
    first, *_ = drafted.read_text().splitlines()
    record = json.loads(first)
    if line == "version 1":
        line = json.dumps(record | {"schema_version": 1})
    elif line == "changed":
        line = json.dumps(record | {"findings": ["All is well."]})
    elif line == "other model":
        line = json.dumps(record | {"model": record["model"] | {"sha256": "0" * 64}})
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{first}\n\n{line}\n{first}\n")
    done = run_cli("render", path, "--format", "jsonl")
    assert done.exit_code == 6
    written = records(done.stdout)
    assert [record.get("error", {}).get("code") for record in written] == [None, "invalid-record", None]
    assert error in written[1]["error"]["message"]
    assert "3 studies: 2 drafted, 1 failed." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.jsonl"], 2, "cannot be read"),
        (["--sources", "missing", "x.jsonl"], 2, "is no folder"),
        (["--format", "text", "--sources", ".", "x.jsonl"], 2, "--sources goes with formats"),
        (["--resume", "x.jsonl"], 2, "--resume goes with --out"),
        (["--plain", "--format", "csv", "x.jsonl"], 2, "--plain goes with"),
        ([], 2, "Missing argument"),
    ],
)
def test_usage(run_cli: Callable, arguments: list[str], code: int, message: str) -> None:
    done = run_cli("render", *arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_nothing_to_render(run_cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert run_cli("render", tmp_path / "empty.jsonl").exit_code == 3


def test_an_interrupted_run_is_resumed(
    run_cli: Callable, drafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write, left = tmp_path / "out.csv", FileWriter.write, [1]

    def write_one(writer: FileWriter, *arguments) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return write(writer, *arguments)

    whole = run_cli("render", drafted, "--format", "csv").stdout
    with monkeypatch.context() as patch:
        patch.setattr(FileWriter, "write", write_one)
        assert run_cli("render", drafted, "--out", out).exit_code == 130
    done = run_cli("render", drafted, "--out", out, "--resume")
    assert " 1 of them in an earlier run." in done.stderr
    assert out.read_text() == whole


def test_it_loads_no_model(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys\nfrom cxreport.cli.app import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "assert not {'onnxruntime', 'torch', 'pydicom'} & set(sys.modules)"
    (tmp_path / "x.jsonl").write_text('{"schema_version": 1}\n')
    command = [sys.executable, "-c", code, "render", tmp_path / "x.jsonl", "--format", "csv"]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
