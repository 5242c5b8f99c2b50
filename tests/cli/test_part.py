"""`cxreport generate --part K/N`: runs side by side that together draft every study once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dicom_factory
import pytest
from command_line import timeless

from cxreport.errors import UsageError
from cxreport.output.formats import FORMATS, OutputFormat
from cxreport.reading.discover import group_files
from cxreport.reading.parts import Part

COUNT = 3


@pytest.fixture
def pictures(phantoms: Path, tmp_path: Path) -> Path:
    """Studies whose files would have one name (``a_b.png``), ones that fail, and ones in folders."""
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    for name in ("a b.png", "a_b.png", "a+b.png", "a@b.png", "c.png", "a/d.png", "b/d.png"):
        shutil.copy(phantoms / "normal-8bit.png", folder / name)
    (folder / "bad.png").write_text("not a picture")
    return folder


def parts_of(count: int) -> list[str]:
    return [f"{number}/{count}" for number in range(1, count + 1)]


def by_id(text: str) -> dict[str, dict]:
    found = timeless(text)
    assert len({record["study"]["id"] for record in found}) == len(found)
    return {record["study"]["id"]: record for record in found}


def document(path: Path) -> object:
    """A document without timings."""
    text = path.read_text(encoding="latin-1")
    if not text.startswith(("{", "[")):
        return text
    return timeless("\n".join(json.dumps(record) for record in json.loads(text)) if text.startswith("[") else text)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("count", [1, 2, COUNT])
def test_parts_together_are_the_run_without(generate: Callable, pictures: Path, count: int, workers: int) -> None:
    common = (pictures, "--tags-only", "--json", "--workers", workers)
    whole = by_id(generate(*common).stdout)
    runs = [by_id(generate(*common, "--part", part).stdout) for part in parts_of(count)]
    assert sum(map(len, runs)) == len(whole) == 8
    assert {id_: record for run in runs for id_, record in run.items()} == whole
    assert count == 1 or max(map(len, runs)) < len(whole)


def test_parts_of_a_table_are_its_rows(generate: Callable, full_table: Path, tmp_path: Path) -> None:
    header, row, *_ = full_table.read_text().splitlines()
    table = tmp_path / "many.csv"
    table.write_text("\n".join([header, *(row.replace("A", f"S{n}", 1) for n in range(9)), "S9,nothing", ""]))
    common = ("--from-tags", table, "--json")
    whole = by_id(generate(*common).stdout)
    runs = [by_id(generate(*common, "--part", part).stdout) for part in parts_of(COUNT)]
    assert {id_: record for run in runs for id_, record in run.items()} == whole
    assert sum(map(len, runs)) == len(whole) == 10


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if not row.needs_header], ids=lambda row: row.name)
def test_parts_share_a_folder(generate: Callable, pictures: Path, tmp_path: Path, row: OutputFormat) -> None:
    """7 studies and a failure, for which some formats have no file; the index of pages is made anew by each part."""
    tags_only = [] if row.needs_text else ["--tags-only"]
    common = (pictures, *tags_only, "--workers", 0, "--format", row.name, "--out")
    generate(*common, f"{tmp_path}/whole/")
    for part in parts_of(COUNT):
        assert generate(*common, f"{tmp_path}/parts/", "--part", part).exit_code in (0, 3, 6)
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert len(names - {"index.html"}) == (7 if row.name in ("plain", "pdf") else 8)
    assert {path.name for path in (tmp_path / "parts").iterdir()} == names
    for name in names:
        whole, part = (document(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert whole == part


def test_parts_at_once_hold_journals_of_their_own(generate: Callable, pictures: Path, tmp_path: Path) -> None:
    from cxreport.cli.output import claim_output

    out = f"{tmp_path}/out/"
    with claim_output(out, Part(2, COUNT)):
        assert generate(pictures, "--tags-only", "--out", out, "--part", f"1/{COUNT}").exit_code in (0, 6)
        refused = generate(pictures, "--tags-only", "--out", out, "--part", f"2/{COUNT}")
    assert refused.exit_code == 2
    assert "another run writes to it" in refused.stderr


@pytest.mark.parametrize(("name", "written"), [("r.jsonl", "r.2-of-3.jsonl"), ("r", "r.2-of-3")])
def test_a_file_of_a_part_has_it_in_its_name(generate, pictures, tmp_path: Path, name: str, written: str) -> None:
    out = tmp_path / name
    assert generate(pictures, "--tags-only", "--json", "--out", out, "--part", "2/3").exit_code in (0, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", written]


@pytest.mark.parametrize("output", [(), ("--out", "out/"), ("--out", "out.csv"), ("--out", "out.json")])
def test_an_empty_part_is_no_error(generate, phantoms, tmp_path, monkeypatch, output: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    picture = phantoms / "normal-8bit.png"
    results = [generate(picture, "--tags-only", *output, "--part", part) for part in ("1/2", "2/2")]
    assert [result.exit_code for result in results] == [0, 0]
    (empty,) = [result for result in results if "this part has no study" in result.stderr]
    assert "note: this part has no study; other parts have 1\n" in empty.stderr


def test_a_part_of_nothing_is_an_error(generate: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert generate(tmp_path / "empty", "--part", "1/2").exit_code == 3


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", "1.0/2", ""])
def test_other_words_are_no_part(generate: Callable, phantoms: Path, text: str) -> None:
    result = generate(phantoms, f"--part={text}")
    assert result.exit_code == 2
    assert "numbered from 1" in result.stderr


def test_the_hash_is_the_documented_one() -> None:
    keys = [f"study {number}" for number in range(2000)]
    shares = []
    for number in range(1, 9):
        held = [key for key in keys if Part(number, 8).holds(key)]
        assert held == [key for key in keys if int(hashlib.sha256(key.encode()).hexdigest()[:16], 16) % 8 == number - 1]
        shares.append(len(held))
    assert sum(shares) == len(keys)
    assert max(shares) < 1.4 * min(shares)
    with pytest.raises(UsageError):
        Part.parse("9/8")


def test_machines_with_other_secrets_agree_on_the_parts(tmp_path: Path) -> None:
    for number in range(4):
        dicom_factory.save(
            dicom_factory.make_dataset(dicom_factory.phantom(), StudyInstanceUID=f"1.2.3.{number + 1}"),
            tmp_path / f"{number}.dcm",
        )
    keys = [[files.key for files in group_files([tmp_path], "study", salt)] for salt in ("one", "other")]
    ids = [[files.id for files in group_files([tmp_path], "study", salt)] for salt in ("one", "other")]
    assert keys[0] == keys[1]
    assert ids[0] != ids[1]
    assert len(set(keys[0])) == 4
