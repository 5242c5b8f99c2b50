from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest
from command_line import records, start

from cxreport import get_formatter
from cxreport.drafting import pipeline
from cxreport.model.bundle import load_manifest
from cxreport.output.formats import FORMATS
from cxreport.output.formatters import Formatter
from cxreport.types import Outcome

PHANTOM_STUDIES = 7

OF_PICTURES = [row.name for row in FORMATS.values() if not (row.needs_header or row.of_one_study)]


def test_0_all_done(generate, phantoms) -> None:
    result = generate("--json", phantoms)
    assert result.exit_code == 0
    assert len(records(result.stdout)) == PHANTOM_STUDIES
    assert result.stderr.splitlines() == [
        "Research use only: a drafted report is no diagnosis and must not guide care.",
        f"{PHANTOM_STUDIES} studies: {PHANTOM_STUDIES} drafted, 0 failed.",
    ]


@pytest.mark.parametrize("flags", [[], ["--verbose"]])
def test_1_unexpected_without_what_the_exception_says(generate, phantoms, monkeypatch, flags) -> None:
    def broken(*_: object) -> Iterator[Outcome]:
        raise ValueError("Patient^Name")

    monkeypatch.setattr(pipeline, "generate", broken)
    result = generate(phantoms, *flags)
    assert result.exit_code == 1
    assert "error: unexpected ValueError" in result.stderr
    assert ("Traceback" in result.stderr) == ("Patient^Name" in result.stderr) == bool(flags)


def test_1_every_study_failed_unexpectedly(generate, phantoms, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "encode", None)
    result = generate("--json", phantoms)
    assert result.exit_code == 1
    assert {record["error"]["code"] for record in records(result.stdout)} == {"unexpected"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to read"),
        (["x.png", "--example"], "exclude one another"),
        (["x.png", "--evidence", "head"], "--evidence goes with --from-tags"),
        (["x.png", "--json", "--format", "text"], "exclude one another"),
        (["x.png", "--beam", "0"], "--beam"),
        (["x.png", "--threshold", "1.5"], "--threshold"),
        (["x.png", "--format", "xml"], "--format"),
        (["--from-tags", "none.csv"], "none.csv: cannot be read"),
    ],
)
def test_2_usage(generate, arguments, message) -> None:
    result = generate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_2_unknown_evidence_names_the_known(generate, full_table) -> None:
    result = generate("--from-tags", full_table, "--evidence", "other")
    assert result.exit_code == 2
    assert "error: The bundle knows no evidence 'other'.\nhint: It knows: " in result.stderr
    assert "head" in result.stderr


def test_2_output_that_cannot_be_written(generate, phantoms, tmp_path) -> None:
    result = generate(phantoms, "--out", tmp_path / "none" / "out.txt")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("format_", FORMATS)
def test_3_no_study_at_all(generate, tiny_bundle, tmp_path, format_) -> None:
    (tmp_path / "empty").mkdir()
    result = generate(tmp_path / "empty", "--format", format_)
    assert result.exit_code == 3
    assert "error: No study among the inputs." in result.stderr
    formatter = get_formatter(format_, load_manifest(tiny_bundle))
    assert result.stdout == (formatter.end(empty=True) if isinstance(formatter, Formatter) else "")


def test_3_every_input_failed(generate, bad, tmp_path) -> None:
    result = generate("--json", bad, tmp_path / "missing.dcm")
    assert result.exit_code == 3
    assert all("error" in record for record in records(result.stdout))
    assert len(records(result.stdout)) == 2


def test_4_bundle_unusable(run_cli, phantoms, tmp_path, tiny_bundle) -> None:
    assert run_cli("generate", phantoms, "--model", tmp_path).exit_code == 4
    altered = shutil.copytree(tiny_bundle, tmp_path / "altered")
    (altered / "encoder.onnx").write_bytes(b"other")
    result = run_cli("generate", phantoms, "--model", altered)
    assert result.exit_code == 4
    assert result.stderr.startswith("error: ")
    assert "\nhint: " in result.stderr


def test_5_extra_missing(generate, run_cli, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("pydicom.data.get_testdata_file", lambda *_, **__: None)
    result = generate("--example")
    assert result.exit_code == 5
    assert "hint: pip install 'cxreport[examples]'" in result.stderr

    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    for arguments in (
        ["train", "--recipe", "unpaired", "--data", tmp_path, "--out", tmp_path],
        ["export", tmp_path, tmp_path],
    ):
        result = run_cli(*arguments)
        assert result.exit_code == 5
        assert "hint: pip install 'cxreport[train]'" in result.stderr


def test_6_some_failed(generate, phantoms, bad) -> None:
    result = generate("--json", bad, phantoms / "rle.dcm")
    assert result.exit_code == 6
    failed, done = records(result.stdout)
    assert failed["error"]["code"] == "unreadable"
    assert "findings" in done
    assert f"failed: bad.png: {failed['error']['message']}" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_130_interrupted_after_whole_records(tiny_bundle, full_table) -> None:
    process = start(
        *("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--batch-size", 1),
        *("--from-tags", "/dev/stdin"),
    )
    process.stdin.write(full_table.read_text())
    process.stdin.flush()
    first = process.stdout.readline()  # the second study's rows may go on, so it waits for more
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130
    assert [record["study"]["id"] for record in records(first + rest)] == ["A"]
    assert process.stderr.read().splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("format_", OF_PICTURES)
def test_a_reader_that_goes_away_ends_the_run_quietly(tiny_bundle, phantoms, format_) -> None:
    process = start("generate", "--model", tiny_bundle, "--device", "cpu", "--format", format_, phantoms, "--quiet")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
