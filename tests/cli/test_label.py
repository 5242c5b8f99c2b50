from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cxreport.text.labeler import CLASSES

GOOD = '{"id": "a", "text": "Possible pneumonia, no effusion."}\n'
COMMAND = [sys.executable, "-m", "cxreport", "label", "-"]


def positive(line: str) -> tuple[object, dict[str, int]]:
    record = json.loads(line)
    assert list(record["labels"]) == list(CLASSES)
    return record["id"], {name: value for name, value in record["labels"].items() if value}


def test_a_file_and_stdin_give_the_same(run_cli, tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(GOOD + '\n{"id": 7, "text": "Clear lungs."}\n')
    result = run_cli("label", file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert run_cli("label", "-", stdin=file.read_text()).stdout == result.stdout
    assert [positive(line) for line in result.stdout.splitlines()] == [("a", {"Pneumonia": -1}), (7, {"No Finding": 1})]


def test_files_of_several_kinds_say_where_their_texts_came_from(run_cli, tmp_path: Path) -> None:
    lines, table, text = tmp_path / "a.jsonl", tmp_path / "b.csv", tmp_path / "s9.txt"
    lines.write_text('{"id": "a", "text": "Edema.", "source": "x.dcm", "name": "N"}\n')
    table.write_text('id,text,study,source\nb,"Small\neffusion.",S1,y.dcm\n')
    text.write_text("HISTORY: Pneumonia.\n\nFINDINGS: No\npneumothorax.\n")
    result = run_cli("label", lines, table, text)
    assert (result.exit_code, result.stderr) == (0, "")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    labels = [{name for name, value in record.pop("labels").items() if value} for record in records]
    assert records == [
        {"id": "a", "source": "x.dcm"},
        {"id": "b", "source": "y.dcm", "study": "S1"},
        {"id": "s9", "source": str(text)},
    ]
    assert labels == [{"Edema"}, {"Pleural Effusion"}, {"No Finding"}]


def test_drafted_records_are_labelled(run_cli, generate, phantoms: Path) -> None:
    records = generate("--json", phantoms / "normal-8bit.png", phantoms / "rle.dcm").stdout
    result = run_cli("label", "-", stdin=records)
    assert [(line["id"], line["sources"]) for line in map(json.loads, result.stdout.splitlines())] == [
        (record["study"]["id"], record["study"]["sources"]) for record in map(json.loads, records.splitlines())
    ]


def test_records_with_sentences_are_labelled_by_their_statements(run_cli, generate, phantoms: Path) -> None:
    """Of schema 1 the text is read; of schema 2 the statements count."""
    records = generate("--json", "--threshold", 0, phantoms / "rle.dcm").stdout
    (record,) = map(json.loads, records.splitlines())
    told = {s["tag"] for sentence in record["sentences"] for s in sentence["statements"] if s["assertion"] != "absent"}
    assert len(told) > 2
    _, labels = positive(run_cli("label", "-", stdin=json.dumps(record)).stdout)
    assert labels.keys() == told & set(CLASSES)
    for sentence in record["sentences"]:
        for statement in sentence["statements"]:
            statement["assertion"] = "possible"
    _, labels = positive(run_cli("label", "-", stdin=json.dumps(record)).stdout)
    assert set(labels.values()) == {-1}
    old = {key: value for key, value in record.items() if key != "sentences"} | {"schema_version": 1}
    _, read = positive(run_cli("label", "-", stdin=json.dumps(old)).stdout)
    assert set(read.values()) == {1}


def test_tags_without_a_report_are_no_text(run_cli, generate, phantoms: Path) -> None:
    records = generate("--json", "--tags-only", phantoms / "normal-8bit.png").stdout
    result = run_cli("label", "-", stdin=records)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["message"] == "Line 1 has no text."


def test_a_bad_line_fails_alone_and_is_named(run_cli) -> None:
    result = run_cli("label", "-", stdin=GOOD + "not json\n" + GOOD)
    assert result.exit_code == 6
    first, failed, last = result.stdout.splitlines()
    assert first == last
    assert json.loads(failed)["id"] == "line 2"
    assert json.loads(failed)["error"]["code"] == "invalid-text"
    assert result.stderr == "failed: line 2: Line 2 is no JSON object.\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 128 + b"DICM\n" * 9, "The file is no text."),
        (b"\x89PNG\r\n\x1a\n\0\0\n", "The file is no text."),
        (b'[\n  {\n    "id": "a"\n  }\n]\n', "The file is one JSON array."),
    ],
)
def test_what_is_no_json_lines_is_one_failure(run_cli, tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "reports.json"
    file.write_bytes(content)
    result = run_cli("label", file)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["message"] == message
    piped = subprocess.run(COMMAND, input=content, capture_output=True, timeout=60)
    assert piped.returncode == 3
    assert json.loads(piped.stdout)["error"]["message"] == message


def test_zeros_in_a_line_are_that_line_alone(run_cli, tmp_path: Path) -> None:
    file = tmp_path / "reports.jsonl"
    file.write_bytes(GOOD.encode() + b"\0\0\0\n" + GOOD.encode())
    result = run_cli("label", file)
    assert (result.exit_code, len(result.stdout.splitlines())) == (6, 3)


@pytest.mark.parametrize(("stdin", "lines"), [("", 0), ("\n \n", 0), ("x\ny\n", 2)])
def test_nothing_to_label(run_cli, stdin: str, lines: int) -> None:
    result = run_cli("label", "-", stdin=stdin)
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == lines
    assert ("error: No text in the input." in result.stderr) == (not lines)


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_read(run_cli, tmp_path: Path, name: str) -> None:
    result = run_cli("label", tmp_path / name)
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_each_line_is_answered_before_the_next_is_read() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            process.stdin.write(GOOD)
            process.stdin.flush()
            assert positive(process.stdout.readline()) == ("a", {"Pneumonia": -1})
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_a_reader_that_goes_away_ends_the_run_quietly() -> None:
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    process.stdin.write(GOOD)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""


def test_a_line_without_end_is_an_error_of_its_own(run_cli, tmp_path: Path, monkeypatch) -> None:
    """It is never in memory as a whole."""
    from cxreport.text import json_lines

    monkeypatch.setattr(json_lines, "MOST_LENGTH", 1000)
    path = tmp_path / "texts.jsonl"
    fine = json.dumps({"id": "a", "text": "Pneumothorax."})
    path.write_text(f'{{"id": "long", "text": "{"x" * 5000}"}}\n{fine}\n{"y" * 1001}\n{fine}')
    result = run_cli("label", path)
    assert result.exit_code == 6
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["id"] for record in records] == ["line 1", "a", "line 3", "a"]
    assert "is longer than" in records[0]["error"]["message"]
    with path.open("rb") as stream:
        assert max(map(len, json_lines.bounded_lines(stream))) == 1001


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_chosen(run_cli, tmp_path: Path, separator: str) -> None:
    table = tmp_path / "a.csv"
    table.write_text(separator.join(("Accession", "Narrative", "text")) + "\n" + separator.join(("7", "Edema.", "x\n")))
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"accession": 7, "narrative": "Edema.", "text": "x"}\n')
    result = run_cli("label", table, lines, "--id-column", "accession", "--text-column", "narrative")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [positive(line) for line in result.stdout.splitlines()] == [("7", {"Edema": 1}), (7, {"Edema": 1})]


def test_a_table_without_the_columns_says_how_to_name_them(run_cli, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("accession,narrative\n7,Edema.\n")
    result = run_cli("label", table, "--text-column", "report")
    assert result.exit_code == 3
    error = json.loads(result.stdout)["error"]
    assert error["message"] == "Row 1 is no header with columns id and report, each once."
    assert "--id-column and --text-column" in error["hint"]


def test_quiet(run_cli) -> None:
    result = run_cli("label", "-", "-q", stdin=GOOD + "not json\n")
    assert (result.exit_code, result.stderr) == (6, "")
