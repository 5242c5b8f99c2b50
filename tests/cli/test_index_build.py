from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from limits import file_size_limit

from cxreport.journal import Claim
from cxreport.model.manifest import DistanceLimits
from cxreport.retrieval import entry_log
from cxreport.retrieval.entry_log import EntryLog
from cxreport.retrieval.index import open_index


def test_inputs_that_fail_do_not_stop_the_build(model, run_cli, texts: Path, phantoms: Path) -> None:
    bad = texts.with_name("bad.png")
    bad.write_bytes(b"\0\0")
    with texts.open("a") as stream:
        stream.write('not json\n{"id": "e", "text": "qqq"}\n')
    path = texts.with_name("x.index")
    done = run_cli("index", "build", bad, texts, phantoms / "normal-8bit.png", "-o", path)
    assert done.exit_code == 6
    assert done.stderr.splitlines() == [
        "failed: reports.jsonl, line 5: No JSON object.",
        "failed: e: No word of the report is known to the bundle.",
        "failed: bad.png: The file is neither DICOM nor a PNG, JPEG or TIFF picture.",
        f"{path}: reports: 3, images: 1, left out without a section: 1, failed: 3",
    ]
    assert open_index(path).counts == {"report": 3, "image": 1}


def test_ids_choose_reports_and_images(model, run_cli, texts: Path, phantoms: Path) -> None:
    ids = texts.with_name("ids.txt")
    ids.write_text("b\n\n normal-8bit.png \nnone\n")
    path = texts.with_name("x.index")
    done = run_cli("index", "build", texts, phantoms, "--ids", ids, "-o", path)
    assert f"warning: 1 of the ids in {ids} belong to no report or image among the inputs." in done.stderr
    assert open_index(path).counts == {"report": 1, "image": 1}


def test_an_image_unlike_the_training_images_is_refused_unless_forced(model, run_cli, phantoms: Path, tmp_path) -> None:
    model.manifest = replace(model.manifest, typicality=DistanceLimits(1e-9, 1e-9))
    path = tmp_path / "x.index"
    refused = run_cli("index", "build", phantoms / "normal-8bit.png", "-o", path)
    assert refused.exit_code == 3
    assert "does not look like a frontal chest radiograph" in refused.stderr
    assert not list(tmp_path.iterdir())
    assert run_cli("index", "build", "--force", phantoms / "normal-8bit.png", "-o", path).exit_code == 0


def test_ids_that_come_twice_are_kept_twice(model, run_cli, texts: Path) -> None:
    path = texts.with_name("x.index")
    assert run_cli("index", "build", texts, texts, "-o", path).exit_code == 0
    assert open_index(path).counts["report"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Nothing to read."),
        (["{folder}/empty"], 3, "No report and no image to index."),
        (["{folder}/empty.jsonl"], 3, "No report and no image to index."),
        (["{folder}/reports.jsonl", "--ids", "{folder}/none"], 2, "cannot be read as text"),
        (["{folder}/reports.jsonl", "-o", "{folder}"], 2, "is a folder"),
        (["{folder}/reports.jsonl", "-o", "{folder}/none/x"], 2, "cannot be written"),
    ],
)
def test_builds_that_cannot_be(model, run_cli, texts: Path, arguments: list[str], code: int, message: str) -> None:
    folder = texts.parent
    (folder / "empty").mkdir()
    (folder / "empty.jsonl").write_text('{"id": 1, "text": ""}\n')
    done = run_cli("index", "build", "-o", folder / "x.index", *(a.format(folder=folder) for a in arguments))
    assert done.exit_code == code
    assert message in done.stderr
    assert {path.name for path in folder.iterdir()} == {"reports.jsonl", "empty", "empty.jsonl"}


class Killed(BaseException):
    """Stands in for kill -9."""


@pytest.fixture
def killed(run_cli, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Build until some results are written; then nothing more is written, closed or said."""
    monkeypatch.setattr(entry_log, "_MAX_PENDING", 1)
    add = EntryLog.add

    def run(results: int, *arguments: object) -> None:
        left = results

        def add_some(self, *arguments: object) -> None:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            add(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EntryLog, "add", add_some)
            patch.setattr(EntryLog, "close", lambda *_, **__: True)
            with pytest.raises(Killed):
                run_cli(*arguments)

    return run


@pytest.mark.parametrize("results", [0, 1, 2, 4, 5])
def test_a_killed_build_becomes_what_it_would_have_been(model, run_cli, killed, texts, phantoms, bad, results) -> None:
    common = ("index", "build", texts, texts, phantoms / "normal-8bit.png", bad, phantoms / "rle.dcm")
    common = (*common, "--batch-size", 1, "--out")
    whole, path = texts.with_name("whole.index"), texts.with_name("x.index")
    assert run_cli(*common, whole).exit_code == 6
    killed(results, *common, path)
    done = run_cli(*common, path, "--resume")
    assert done.exit_code == 6, done.stderr
    assert path.read_bytes() == whole.read_bytes()
    assert done.stderr.endswith("reports: 6, images: 2, left out without a section: 2, failed: 1\n")
    assert sorted(file.name for file in texts.parent.iterdir() if "index" in file.name) == ["whole.index", "x.index"]


def test_an_image_that_can_be_read_now_takes_its_place(model, run_cli, killed, texts, phantoms, bad) -> None:
    images = (bad, phantoms / "rle.dcm", phantoms / "normal-8bit.png")
    common = ("index", "build", *images, texts, "--batch-size", 1, "--out")
    whole, path = texts.with_name("whole.index"), texts.with_name("x.index")
    killed(5, *common, path)
    shutil.copy(phantoms / "normal-8bit.png", bad)
    assert run_cli(*common, path, "--resume").exit_code == 0
    assert run_cli(*common, whole).exit_code == 0
    assert path.read_bytes() == whole.read_bytes()


def test_other_settings_keep_nothing_of_an_interrupted_build(model, run_cli, killed, texts) -> None:
    path = texts.with_name("x.index")
    killed(2, "index", "build", texts, "--batch-size", 1, "--out", path)
    done = run_cli("index", "build", texts, "--out", path, "--max-megapixels", 50, "--resume")
    assert "note: nothing is kept, other settings: max-megapixels" in done.stderr
    assert open_index(path).counts["report"] == 3


def test_an_interrupted_build_is_not_written_over(model, run_cli, killed, texts) -> None:
    path = texts.with_name("x.index")
    killed(2, "index", "build", texts, "--batch-size", 1, "--out", path)
    before = {file: file.read_bytes() for file in texts.parent.iterdir()}
    refused = run_cli("index", "build", texts, "--out", path)
    assert (refused.exit_code, "an interrupted build has left entries" in refused.stderr) == (2, True)
    assert {file: file.read_bytes() for file in texts.parent.iterdir()} == before


@pytest.mark.parametrize("of", ["reports", "images", "another text"])
def test_an_index_does_not_replace_what_it_is_made_of(model, run_cli, texts, phantoms, of: str) -> None:
    image = Path(shutil.copy(phantoms / "normal-8bit.png", texts.parent))
    other = texts.with_name("notes.txt")
    other.write_text("mine")
    out = {"reports": texts, "images": image, "another text": other}[of]
    before = out.read_bytes()
    refused = run_cli("index", "build", texts, image, "--out", out)
    assert (refused.exit_code, "the results would replace it" in refused.stderr) == (2, True)
    assert out.read_bytes() == before


@pytest.mark.parametrize("suffix", [".entries", ".journal"])
def test_files_of_something_else_beside_an_index_stay(model, run_cli, texts, suffix: str) -> None:
    other = texts.with_name(f"x.index{suffix}")
    other.write_text("mine\n")
    for flags in ([], ["--resume"]):
        assert run_cli("index", "build", texts, "--out", texts.with_name("x.index"), *flags).exit_code == 2
        assert other.read_text() == "mine\n"


def test_two_builds_of_one_index_refuse_each_other(model, run_cli, texts) -> None:
    path = texts.with_name("x.index")
    with Claim(path):
        refused = run_cli("index", "build", texts, "--out", path)
    assert (refused.exit_code, f"error: {path}: another run writes to it.\n" in refused.stderr) == (2, True)
    assert run_cli("index", "build", texts, "--out", path).exit_code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_an_index_takes_no_place_but_that_of_a_file(model, run_cli, texts) -> None:
    fifo, link, target = (texts.with_name(name) for name in ("fifo", "link", "target"))
    os.mkfifo(fifo)
    refused = run_cli("index", "build", texts, "--out", fifo)
    assert (refused.exit_code, "is no regular file" in refused.stderr, fifo.is_fifo()) == (2, True, True)
    link.symlink_to(target)
    assert run_cli("index", "build", texts, "--out", link).exit_code == 0
    assert link.is_symlink()
    assert open_index(target).counts["report"] == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_disk_without_room_ends_the_build_and_keeps_its_entries(model, run_cli, texts, monkeypatch) -> None:
    path = texts.with_name("x.index")
    monkeypatch.setattr(entry_log, "_MAX_PENDING", 1)
    common = ("index", "build", texts, "--batch-size", 1, "--out", path)
    with file_size_limit(400):
        full = run_cli(*common)
    assert full.exit_code == 1
    assert f"error: {path}.entries: cannot be written (File too large)." in full.stderr
    assert "unexpected" not in full.stderr
    assert run_cli(*common, "--resume").exit_code == 0
    assert open_index(path).counts["report"] == 3
