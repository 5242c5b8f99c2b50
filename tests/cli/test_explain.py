from __future__ import annotations

import json
import os
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from cxreport.model.bundle import load_manifest
from cxreport.output.record import record_schema


@pytest.fixture
def explain_cli(run_cli, tiny_bundle):
    """Run `cxreport explain` with the tiny bundle on the CPU."""
    return lambda *arguments: run_cli("explain", "--model", tiny_bundle, "--device", "cpu", *arguments)


def test_explain(explain_cli, phantoms, tmp_path) -> None:
    result = explain_cli(phantoms / "j2k-pa.dcm", "--explain-tag", "pneumothorax", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "Findings" in result.stdout
    assert "Pneumothorax (not planned" in result.stdout
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Research use only")
    assert lines[1].startswith(f"written: {tmp_path / 'out' / 'index.html'} and ")
    assert len(list((tmp_path / "out").glob("*.png"))) == int(lines[1].split()[-2])


def test_quiet_says_nothing_on_stderr(explain_cli, phantoms, tmp_path) -> None:
    assert explain_cli("-q", phantoms / "normal-8bit.png", "--out", tmp_path).stderr == ""


def test_no_path_and_no_identifier_on_the_page(explain_cli, phantoms, tmp_path) -> None:
    import pydicom

    path = phantoms / "j2k-pa.dcm"
    assert explain_cli(path, "--out", tmp_path).exit_code == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    header = pydicom.dcmread(path)
    for value in (header.StudyInstanceUID, str(header.PatientName), header.PatientID, str(phantoms)):
        assert not value or value not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name one study"),
        (["x.png", "--example"], "Name one study"),
        (["x.png", "--graphics", "oil"], "--graphics"),
        (["x.png", "--explain-tag", "none"], "no reporting tag 'none'"),
        (["x.png", "--width", "2"], "--width"),
    ],
)
def test_2_usage(explain_cli, arguments, message) -> None:
    result = explain_cli(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_2_several_studies(explain_cli, phantoms) -> None:
    result = explain_cli(phantoms)
    assert result.exit_code == 2
    assert "holds several studies" in result.stderr


def test_a_damaged_file_of_the_study_is_a_warning(explain_cli, phantoms, tmp_path) -> None:
    whole = (phantoms / "j2k-pa.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole)
    (tmp_path / "b.dcm").write_bytes(whole[: len(whole) // 2])
    result = explain_cli(tmp_path)
    assert (result.exit_code, "Findings" in result.stdout) == (0, True)


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(tiny_bundle, phantoms) -> None:
    arguments = ["explain", "--model", tiny_bundle, "--device", "cpu", "--width", "200", phantoms / "normal-8bit.png"]
    started = subprocess.Popen(
        [sys.executable, "-m", "cxreport", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "300"},
    )
    started.stdout.close()
    assert started.wait(60) == 0
    assert b"error" not in started.stderr.read()
    started.stderr.close()


def test_3_unreadable(explain_cli, tmp_path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    result = explain_cli(bad)
    assert result.exit_code == 3
    assert f"error: {bad}: The file is neither DICOM" in result.stderr
    (tmp_path / "empty").mkdir()
    assert explain_cli(tmp_path / "empty").exit_code == 3


def test_records_have_maps_only_where_asked(generate, phantoms, tiny_bundle) -> None:
    plain = json.loads(generate("--json", phantoms / "normal-8bit.png").stdout)
    asked = json.loads(generate("--json", "--attention", phantoms / "normal-8bit.png").stdout)
    jsonschema.Draft202012Validator(record_schema()).validate(asked)
    assert list(plain) == list(asked)
    assert asked["sentences"]
    maps = [sentence.pop("map") for sentence in asked["sentences"]]
    assert {k: v for k, v in plain.items() if k not in ("timing_ms", "drafted_at")} == {
        k: v for k, v in asked.items() if k not in ("timing_ms", "drafted_at")
    }
    side = load_manifest(tiny_bundle).sizes.patch_embeddings ** 0.5  # finer than the patches that are attended to
    for sentence, look in zip(asked["sentences"], maps, strict=True):
        assert " ".join(word["word"] for word in look["words"]) == sentence["text"]
        for weights in (look["weights"], *(word["weights"] for word in look["words"])):
            assert np.shape(weights) == (side, side)
            assert np.sum(weights) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.png"], "--attention goes with --format json or jsonl or html or sc.\nhint: Add --json, or see"),
        (["x.png", "--json", "--tags-only"], "--attention and --tags-only exclude"),
        (["--from-tags", "x.csv", "--json"], "--attention and --from-tags exclude"),
    ],
)
def test_attention_needs_json_an_image_and_sentences(generate, arguments, message) -> None:
    result = generate("--attention", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
