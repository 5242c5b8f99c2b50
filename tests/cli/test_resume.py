"""Runs that are cut short, and the same command with ``--resume``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import records

from cxreport.drafting import pipeline
from cxreport.output.file_writers import FileWriter, FolderWriter
from cxreport.output.formats import FORMATS
from cxreport.types import Outcome

GENERATE = pipeline.generate

OF_PICTURES = [row.name for row in FORMATS.values() if not (row.needs_header or row.of_one_study)]


@pytest.fixture
def pictures(phantoms: Path, tmp_path: Path) -> Path:
    """Six studies, of which the second fails."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        shutil.copy(phantoms / "normal-8bit.png", folder / f"{number}.png")
    (folder / "1.png").write_text("not a picture")
    return folder


class Killed(BaseException):
    """Stands in for kill -9, which the script `kill_and_resume.py` sends."""


WRITERS = (FileWriter, FolderWriter)
WRITE = {kind: kind.write for kind in WRITERS}


@pytest.fixture
def killed(generate: Callable) -> Callable:
    """Run until some results are written; then nothing more is written, closed or said."""

    def run(results: int, *arguments: object) -> None:
        left = results

        def write(self, *arguments: object) -> object:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            return WRITE[type(self)](self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            for kind in WRITERS:
                patch.setattr(kind, "write", write)
                patch.setattr(kind, "close", lambda *_: None)
            with pytest.raises(Killed):
                generate(*arguments)

    return run


def contents(place: Path) -> dict[str, object]:
    """Documents by name, without timings."""
    if place.is_dir():
        return {path.name: content(path) for path in place.iterdir()}
    return {"": content(place)}


def content(path: Path) -> object:
    text = path.read_text()
    if not text.startswith(("{", "[")):
        return text
    parsed = json.loads(text) if text.startswith("[") else records(text)
    return [
        {key: value for key, value in record.items() if key not in ("timing_ms", "drafted_at")} for record in parsed
    ]


@pytest.mark.parametrize("results", [0, 1, 2, 5])
@pytest.mark.parametrize("format_", OF_PICTURES)
@pytest.mark.parametrize("out", ["out", "out/"])
def test_a_killed_run_becomes_what_it_would_have_been(
    generate, killed, pictures, tmp_path, format_, out, results
) -> None:
    common = (pictures, "--workers", 0, "--batch-size", 1, "--tags-only", "--format", format_, "--out")
    assert generate(*common, f"{tmp_path}/whole/{out}" if out == "out/" else tmp_path / "whole").exit_code == 6
    killed(results, *common, f"{tmp_path}/{out}")
    done = generate(*common, f"{tmp_path}/{out}", "--resume")
    assert done.exit_code == 6, done.stderr
    kept = results - (results > 1)  # the second study failed, and is tried again
    assert (f" {kept} of them in an earlier run." in done.stderr) == bool(kept)
    whole = tmp_path / "whole" / "out" if out == "out/" else tmp_path / "whole"
    assert contents(tmp_path / "out") == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_a_failed_study_that_can_be_read_now_takes_its_place(generate, pictures, phantoms, tmp_path, killed) -> None:
    out = tmp_path / "out.jsonl"
    common = (pictures, "--workers", 0, "--batch-size", 1, "--tags-only", "--out", out)
    killed(4, *common)
    shutil.copy(phantoms / "normal-8bit.png", pictures / "1.png")
    done = generate(*common, "--resume")
    assert done.exit_code == 0, done.stderr
    written = records(out.read_text())
    assert [record["study"]["id"] for record in written] == [f"{number}.png" for number in range(6)]
    assert all("report" in record for record in written)


@pytest.mark.parametrize("change", ["settings", "study", "damage"])
def test_what_is_not_the_same_is_drafted_anew(generate, pictures, phantoms, tmp_path, killed, change) -> None:
    out = tmp_path / "out.jsonl"
    common = (pictures, "--workers", 0, "--batch-size", 1, "--out", out)
    killed(5, *common, "--tags-only")
    flags = [] if change == "settings" else ["--tags-only"]
    if change == "study":
        shutil.copy(phantoms / "rle.dcm", pictures / "0.png")
    elif change == "damage":
        partial = out.with_name("out.jsonl.partial")
        partial.write_bytes(partial.read_bytes().replace(b'"schema_version": 2', b'"schema_version": 7', 1))
    done = generate(*common, *flags, "--resume")
    assert done.exit_code == 6, done.stderr
    kept = {"settings": "", "study": " 3 of them in an earlier run.", "damage": ""}[change]
    assert done.stderr.splitlines()[-1] == f"6 studies: 5 drafted, 1 failed.{kept}"
    assert ("settings were others: tags-only" in done.stderr) == (change == "settings")
    written = records(out.read_text())
    assert len(written) == 6
    assert all(bool(record["findings"]) == (change == "settings") for record in written if "report" in record)


@pytest.mark.parametrize("out", ["out.jsonl", "out/"])
def test_an_interrupted_run_is_not_written_over(generate, pictures, tmp_path, killed, out) -> None:
    common = (pictures, "--workers", 0, "--batch-size", 1, "--tags-only", "--json", "--out", f"{tmp_path}/{out}")
    killed(3, *common)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for flags in ([], ["--force"]):
        refused = generate(*common, *flags)
        assert refused.exit_code == 2
        assert "holds results of an interrupted run.\nhint: Add --resume" in refused.stderr
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_partial_file_of_something_else_stays(generate, pictures, tmp_path) -> None:
    partial = tmp_path / "out.partial"
    partial.write_text("mine")
    for flags in ([], ["--resume"]):
        assert generate(pictures, "--out", tmp_path / "out", *flags).exit_code == 2
        assert partial.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.partial"]


def test_rows_of_a_table(generate, full_table, tmp_path, killed) -> None:
    header, first, second = full_table.read_text().splitlines()
    rows = [first, second, first, second.replace("B,", "C,"), first.replace("A,", "D,")]  # A comes back, which fails
    full_table.write_text("\n".join([header, *rows]) + "\n")
    common = ("--from-tags", full_table, "--batch-size", 1, "--out")
    assert generate(*common, tmp_path / "whole.jsonl").exit_code == 6
    killed(4, *common, tmp_path / "out.jsonl")
    done = generate(*common, tmp_path / "out.jsonl", "--resume")
    assert done.stderr.splitlines()[-1] == "5 studies: 4 drafted, 1 failed. 3 of them in an earlier run."
    assert content(tmp_path / "out.jsonl") == content(tmp_path / "whole.jsonl")


def test_resume_without_anything_to_resume(generate, pictures, tmp_path) -> None:
    assert generate(pictures, "--tags-only", "--resume").exit_code == 2
    assert generate(pictures, "--tags-only", "--out", tmp_path / "o.json", "--resume").exit_code == 6
    assert len(json.loads((tmp_path / "o.json").read_text())) == 6


def interrupted(*arguments: object) -> Iterator[Outcome]:
    outcomes = GENERATE(*arguments)
    yield next(outcomes)
    yield next(outcomes)
    raise KeyboardInterrupt


@pytest.mark.parametrize("out", ["out.json", "out/"])
def test_an_interruption_says_how_to_go_on(generate, pictures, tmp_path, monkeypatch, out) -> None:
    common = (pictures, "--workers", 0, "--batch-size", 1, "--tags-only", "--out", f"{tmp_path}/{out}")
    monkeypatch.setattr(pipeline, "generate", interrupted)
    done = generate(*common)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-2:] == ["to finish: the same command with --resume", "interrupted"]
    monkeypatch.setattr(pipeline, "generate", GENERATE)
    done = generate(*common, "--resume")
    assert done.stderr.splitlines()[-1] == "6 studies: 5 drafted, 1 failed. 1 of them in an earlier run."


@pytest.mark.parametrize(("change", "kept"), [("salt", 0), ("secret", 0), ("timeout", 2), ("", 2)])
def test_ids_of_one_document_are_by_one_secret(
    generate, phantoms, tmp_path, killed, monkeypatch, change: str, kept: int
) -> None:
    """A limit of time is none of the settings: to raise it is the way on from a study that passed it."""
    folder, out = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    for name in ("rle.dcm", "deflated.dcm", "monochrome1.dcm"):
        shutil.copy(phantoms / name, folder)
    killed(2, folder, "--batch-size", 1, "--out", out)
    assert "study-" in (tmp_path / "out.jsonl.partial").read_text()
    if change == "secret":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    flags = {"salt": ["--salt", "another"], "timeout": ["--timeout", 50]}.get(change, [])
    done = generate(*flags, folder, "--out", out, "--resume")
    assert (f" {kept} of them in an earlier run." in done.stderr) == (kept > 0)
    assert ("settings were others: salt" in done.stderr) == (change == "salt")
    ids = [record["study"]["id"] for record in records(out.read_text())]
    assert ids == [record["study"]["id"] for record in records(generate("--json", *flags, folder).stdout)]
