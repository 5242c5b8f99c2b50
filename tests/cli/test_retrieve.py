from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from retrieval_fakes import TEXTS, random_units, without_texts

from cxreport.model.manifest import DistanceLimits
from cxreport.output.retrieval_record import retrieval_schema
from cxreport.retrieval.index_file import Entry, IndexWriter


def found(done, kind: str) -> list[str]:
    """Ids of a retrieval's matches."""
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    jsonschema.Draft202012Validator(retrieval_schema()).validate(record)
    return [match["id"] for match in record[kind]]


@pytest.mark.parametrize(
    "command",
    [
        ["index", "build", "{folder}/reports.jsonl", "-o", "{folder}/y.index"],
        ["retrieve", "{folder}/x.index", "--text", "effusion"],
        ["generate", "{phantoms}", "--retrieve", "{folder}/x.index"],
    ],
)
def test_a_bundle_without_a_text_encoder_is_refused(model, run_cli, index: Path, phantoms: Path, command) -> None:
    model.manifest = without_texts(model.real.manifest)
    done = run_cli(*(argument.format(folder=index.parent, phantoms=phantoms) for argument in command))
    assert (done.exit_code, done.stdout) == (4, "")
    assert "error: The bundle has no text encoder.\nhint: Name a bundle" in done.stderr


@pytest.mark.parametrize("id_", ["a", "b", "c"])
def test_a_report_is_found_by_its_own_words(run_cli, index: Path, id_: str) -> None:
    done = run_cli("retrieve", index, "--text", " ".join(TEXTS[id_]), "--json")
    assert found(done, "reports")[0] == id_
    first = json.loads(done.stdout)["reports"][0]
    assert first["similarity"] == 1
    assert (first["findings"], first["impression"]) == TEXTS[id_]
    assert len(found(done, "images")) == 2


def test_an_image_is_found_by_itself(run_cli, index: Path, phantoms: Path) -> None:
    image = phantoms / "normal-8bit.png"
    done = run_cli("retrieve", index, "--image", image, "--json")
    assert found(done, "images")[0] == "normal-8bit.png"
    record = json.loads(done.stdout)
    assert record["images"][0] == {"id": "normal-8bit.png", "source": str(image), "similarity": 1}
    assert record["query"] == {"image": {"id": "normal-8bit.png", "sources": [str(image)]}}
    assert len(record["reports"]) == 3


@pytest.mark.parametrize(("of", "reports", "images"), [("reports", 2, 0), ("images", 0, 2), ("all", 2, 2)])
def test_what_to_look_for(run_cli, index: Path, of: str, reports: int, images: int) -> None:
    done = run_cli("retrieve", index, "--text", "effusion", "--of", of, "-k", 2, "--json")
    assert (len(found(done, "reports")), len(found(done, "images"))) == (reports, images)
    text = run_cli("retrieve", index, "--text", "effusion", "--of", of, "-k", 2).stdout
    assert ('Reports near "effusion"' in text, 'Images near "effusion"' in text) == (bool(reports), bool(images))


def test_panels_hold_whole_reports_and_no_line_is_too_long(run_cli, index: Path) -> None:
    done = run_cli("retrieve", index, "--text", "pleural effusion")
    assert {len(line) for line in done.stdout.splitlines()} == {80}
    words = " ".join(done.stdout.replace("│", " ").split())
    for findings, impression in list(TEXTS.values())[:2]:
        assert f"Findings: {findings} Impression: {impression}" in words


def test_an_index_without_images_says_so(model, run_cli, texts: Path) -> None:
    path = texts.with_name("x.index")
    run_cli("index", "build", texts, "-o", path)
    done = run_cli("retrieve", path, "--text", "effusion", "--of", "images")
    assert "The index has none." in done.stdout


def test_control_characters_of_reports_stay_off_the_terminal(model, run_cli, tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    with IndexWriter(path, model.manifest) as writer:
        writer.add(
            Entry("report", "i\x1b[2J", "s\x07", random_units(1)[0], "Clear\x1b[31m lungs.\nHeart [bold]normal.")
        )
    done = run_cli("retrieve", path, "--text", "effusion")
    assert done.exit_code == 0
    assert "Findings: Clear?[31m lungs. Heart [bold]normal." in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Give one of --image and --text."),
        (["--text", "a", "--image", "x"], 2, "Give one of --image and --text."),
        (["--text", "effusions"], 2, "Known words that look alike: effusion."),
        (["--image", "{folder}/none.png"], 3, "The file does not exist."),
        (["--image", "{folder}/reports.jsonl"], 3, "neither DICOM nor"),
        (["--image", "{phantoms}"], 2, "holds several studies."),
        (["--image", "{folder}/empty"], 3, "no study"),
    ],
)
def test_queries_that_cannot_be(run_cli, index: Path, phantoms: Path, arguments, code: int, message: str) -> None:
    (index.parent / "empty").mkdir()
    done = run_cli("retrieve", index, *(a.format(folder=index.parent, phantoms=phantoms) for a in arguments))
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


def test_a_query_unlike_the_training_images_is_refused_unless_forced(
    model, run_cli, index: Path, phantoms: Path
) -> None:
    model.manifest = replace(model.manifest, typicality=DistanceLimits(1e-9, 1e-9))
    query = ["retrieve", index, "--json", "--image", phantoms / "normal-8bit.png"]
    refused = run_cli(*query)
    assert refused.exit_code == 3
    assert "hint: Use --force to search" in refused.stderr
    forced = run_cli(*query, "--force")
    assert found(forced, "images")[0] == "normal-8bit.png"
    assert "warning: normal-8bit.png" in forced.stderr


def test_an_index_of_another_bundle_is_refused(model, run_cli, index: Path) -> None:
    model.manifest = replace(model.manifest, sha256="1" * 64)
    done = run_cli("retrieve", index, "--text", "effusion")
    assert done.exit_code == 2
    assert "built with another bundle" in done.stderr


def test_words_that_are_not_known_are_named(run_cli, index: Path) -> None:
    done = run_cli("retrieve", index, "--text", "pleural effuson, qqq effusion", "--json")
    assert done.exit_code == 0
    assert "warning: words that the bundle does not know are ignored: effuson, qqq\n" in done.stderr
    assert "are ignored" not in run_cli("retrieve", index, "--text", "pleural effusion", "--json").stderr
    assert "are ignored" not in run_cli("retrieve", index, "--text", "pleural effuson", "--json", "-q").stderr
