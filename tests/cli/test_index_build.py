from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxreport.model.manifest import DistanceLimits
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
