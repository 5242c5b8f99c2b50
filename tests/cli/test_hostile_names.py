"""Names and ids that would forge lines, take over a terminal, or be too long for a file system."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from cxreport.output.file_names import file_stem

MARKS = ["\nerror: forged", "\r", "\x1b[31m", "\x9b31m", "\u202egnp.", "\u2066", "\u2028error: forged"]
IDS = ["line feed", "return", "escape", "single escape", "override", "isolate", "separator"]
needs_posix = pytest.mark.skipif(os.name == "nt", reason="such names are not for Windows")


def shown(text: str) -> list[str]:
    """Characters that do something to a terminal."""
    return [c for c in text if not c.isprintable() and c != "\n"]


@needs_posix
@pytest.mark.parametrize("mark", MARKS, ids=IDS)
@pytest.mark.parametrize("arguments", [[], ["--json"], ["--verbose"]], ids=["text", "json", "verbose"])
def test_names_of_files_are_only_names(generate, phantoms: Path, tmp_path: Path, mark: str, arguments: list) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(phantoms / "normal-8bit.png", folder / f"good{mark}.png")
    (folder / f"bad{mark}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = generate("--workers", 0, *arguments, folder)
    assert result.exit_code == 6
    for stream in (result.stdout, result.stderr):
        assert not shown(stream)
        assert not [line for line in stream.splitlines() if line.startswith("error: forged")]


@needs_posix
@pytest.mark.parametrize("mark", MARKS, ids=IDS)
def test_names_in_errors_that_end_a_command(run_cli, tiny_bundle: Path, tmp_path: Path, mark: str) -> None:
    for arguments in (
        ["retrieve", tmp_path / f"x{mark}", "--text", "effusion", "--model", tiny_bundle],
        ["generate", "--model", tmp_path / f"x{mark}", tmp_path],
        ["label", tmp_path / f"x{mark}"],
        ["index", "info", tmp_path / f"x{mark}"],
        ["explain", "--model", tiny_bundle, "--verbose", tmp_path / f"x{mark}"],
    ):
        result = run_cli(*arguments)
        assert result.exit_code in (2, 3, 4)
        assert not shown(result.stderr)
        assert not [line for line in result.stderr.splitlines() if line.startswith("error: forged")]


@pytest.mark.parametrize("mark", MARKS, ids=IDS)
def test_ids_of_a_table(generate, tmp_path: Path, mark: str) -> None:
    table = tmp_path / "t.jsonl"
    rows = [{"study": f"a{mark}", "Cardiomegaly": 0.9}, {"study": f"b{mark}", "Cardiomegaly": 9}]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for arguments in ([], ["--json"]):
        result = generate("--from-tags", table, *arguments)
        assert result.exit_code == 6
        assert not shown(result.stdout + result.stderr)
        assert "\nerror: forged" not in result.stderr


@pytest.mark.parametrize("id_", ["\u4e2d" * 150, "n" * 246, "a/" * 200, "\u00fc" * 300, ".", "\U0001f600" * 90])
def test_long_ids_get_short_names(generate, tmp_path: Path, id_: str) -> None:
    table, out = tmp_path / "t.jsonl", tmp_path / "out"
    rows = [{"study": name, "Cardiomegaly": 0.9} for name in ("first", id_, f"{id_}x", "last")]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = generate("--json", "--from-tags", table, "--out", f"{out}/")
    assert result.exit_code == 0, result.stderr
    files = {json.loads(path.read_text())["study"]["id"]: path.name for path in out.iterdir()}
    assert set(files) == {row["study"] for row in rows}
    assert max(len(name.encode()) for name in files.values()) <= 110


@needs_posix
@pytest.mark.parametrize("id_", ["nul", "CON", "aux.1", "LPT1", "com9.x.y"])
def test_ids_that_are_devices_on_windows(id_: str) -> None:
    assert file_stem(id_) == f"_{id_}"
    assert file_stem(f"{id_[:2]}x{id_}") == f"{id_[:2]}x{id_}"


def test_a_file_of_a_long_name(generate, phantoms: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("0" + "\u4e2d" * 80, "n" * 246, "short"):
        shutil.copy(phantoms / "normal-8bit.png", folder / f"{name}.png")
    result = generate("--json", "--force", "--workers", 0, "--out", f"{tmp_path}/out/", folder)
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names have an encoding")
def test_a_name_that_is_no_utf_8(run_cli, tiny_bundle: Path, phantoms: Path, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    shutil.copy(phantoms / "normal-8bit.png", path)
    model = ("--model", tiny_bundle, "--device", "cpu", "--force")
    for arguments in (
        ["explain", *model, "--out", tmp_path / "page"],
        ["generate", *model],
        ["generate", *model, "--json"],
    ):
        result = run_cli(*arguments, path)
        assert result.exit_code == 0, result.stderr
    assert "\\udc" not in result.stdout  # JSON has no lone surrogates
    assert json.loads(result.stdout)["study"]["sources"] == [f"{tmp_path}/\\xff.png"]
    assert "\\udcff.png" in (tmp_path / "page" / "index.html").read_text()
