from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from retrieval_fakes import FakeModel, random_units, without_texts

from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.model import precision
from cxreport.model.manifest import DistanceLimits
from cxreport.output.record import record_schema
from cxreport.output.retrieval_record import retrieval_schema
from cxreport.retrieval.index import open_index
from cxreport.retrieval.index_file import Entry, IndexWriter
from cxreport.types import Report, Study

TEXTS = {
    "a": ("There is a pleural effusion.", "Pleural effusion."),
    "b": ("The heart is enlarged.", "Cardiomegaly."),
    "c": ("The lungs are clear. No pneumothorax.", ""),
    "d": ("", ""),
}


@pytest.fixture
def model(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """The fake model, also for the command line."""
    fake = FakeModel.load(tiny_bundle)
    monkeypatch.setattr(precision, "load_model", lambda *_, **__: fake)
    return fake


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "reports.jsonl"
    lines = [{"id": id_, "findings": findings, "impression": said} for id_, (findings, said) in TEXTS.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def index(model: FakeModel, run_cli: Callable, texts: Path, phantoms: Path) -> Path:
    """An index of three reports and two images."""
    path = texts.with_name("x.index")
    done = run_cli("index", "build", texts, phantoms / "normal-8bit.png", phantoms / "rle.dcm", "-o", path)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert done.stderr == f"{path}: reports: 3, images: 2, left out without a section: 1, failed: 0\n"
    return path


def found(done, kind: str) -> list[str]:
    """Ids of a retrieval's matches."""
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    jsonschema.Draft202012Validator(retrieval_schema()).validate(record)
    return [match["id"] for match in record[kind]]


# index build


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
    assert "warning: 1 of the listed ids did not come." in done.stderr
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


# index info


def test_info(run_cli, index: Path, tiny_bundle: Path) -> None:
    told = json.loads(run_cli("index", "info", index, "--json").stdout)
    assert (told["reports"], told["images"], told["embedding"]) == (3, 2, 15)
    assert told["bytes"] == index.stat().st_size
    lines = run_cli("index", "info", index).stdout.splitlines()
    assert ["images", "2"] in [line.split() for line in lines]
    assert told["model"]["sha256"] in lines[-1]


def test_info_of_no_index(run_cli, texts: Path) -> None:
    done = run_cli("index", "info", texts)
    assert done.exit_code == 2
    assert done.stderr == f"error: {texts}: damaged, or no index.\nhint: Build it with `cxreport index build`.\n"


# retrieve


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
        (["--image", "{phantoms}"], 2, "Name one image."),
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


# generate --retrieve


def test_drafted_reports_have_the_nearest_reports_beside_them(run_cli, index: Path, phantoms: Path) -> None:
    image = phantoms / "normal-8bit.png"
    plain = json.loads(run_cli("generate", "--json", image).stdout)
    done = run_cli("generate", "--json", image, "--retrieve", index, "--neighbours", 2)
    record = json.loads(done.stdout)
    jsonschema.Draft202012Validator(record_schema()).validate(record)
    nearest = json.loads(run_cli("retrieve", index, "--image", image, "--json").stdout)["reports"]
    assert record.pop("similar") == nearest[:2]
    assert record.pop("timing_ms").keys() - plain.pop("timing_ms").keys() == {"retrieve"}
    assert record == plain


def test_the_panel_shows_them(run_cli, index: Path, phantoms: Path) -> None:
    image = phantoms / "normal-8bit.png"
    assert "Nearest reports" not in run_cli("generate", image).stdout
    done = run_cli("generate", image, "--retrieve", index)
    shown = done.stdout[done.stdout.index("Nearest reports") :]
    assert [f"{n}." in shown for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert "Findings: The heart is enlarged." in shown


def test_a_study_without_an_image_has_none_and_a_warning(model, index: Path) -> None:
    study = Study("t", ("t",), None, tags=dict.fromkeys(model.manifest.tag_names, 0.5))
    (report,) = generate(model, [study], GenerateOptions(index=open_index(index, model.manifest)))
    assert isinstance(report, Report)
    assert report.similar == ()
    assert any("No nearest reports" in warning for warning in report.warnings)


def test_no_index_is_a_usage_error(model, run_cli, phantoms: Path, tmp_path: Path) -> None:
    done = run_cli("generate", phantoms / "normal-8bit.png", "--retrieve", tmp_path / "none")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no index there" in done.stderr


def test_matches_do_not_depend_on_the_batch(model, index: Path, phantoms: Path) -> None:
    from cxreport.reading.study import read_studies

    opened = open_index(index, model.manifest)
    similar = [
        [
            report.similar
            for report in generate(model, read_studies([phantoms]), GenerateOptions(size, index=opened))
            if isinstance(report, Report)
        ]
        for size in (1, 3)
    ]
    assert similar[0] == similar[1]
    assert len({matches[0].similarity for matches in similar[0]}) > 1
    assert np.isfinite([match.similarity for matches in similar[0] for match in matches]).all()


@pytest.mark.parametrize("of", ["generate", "retrieve"])
def test_schemas_are_schemas(run_cli, of: str) -> None:
    schema = json.loads(run_cli("schema", "--of", of).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == {"generate": "cxreport record", "retrieve": "cxreport retrieval"}[of]


def test_words_that_are_not_known_are_named(run_cli, index: Path) -> None:
    done = run_cli("retrieve", index, "--text", "pleural effuson, qqq effusion", "--json")
    assert done.exit_code == 0
    assert "warning: not known, so ignored: effuson, qqq\n" in done.stderr
    assert "not known" not in run_cli("retrieve", index, "--text", "pleural effusion", "--json").stderr
    assert "not known" not in run_cli("retrieve", index, "--text", "pleural effuson", "--json", "-q").stderr
