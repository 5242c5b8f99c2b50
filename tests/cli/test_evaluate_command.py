"""`cxreport evaluate` from end to end, on generated data with the tiny bundle."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from training_data import LATERALS, make_nih, make_openi

from cxreport.datasets.nih import FINDINGS
from cxreport.evaluate.text.clinical import CLASSES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def openi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_openi(tmp_path_factory.mktemp("openi") / "openi", reports=60, size=32)


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("nih") / "nih", images=4, val=44, size=32)


@pytest.fixture
def evaluate(run_cli: Callable, tiny_bundle: Path) -> Callable:
    def run(*arguments: object):
        return run_cli("evaluate", "--model", tiny_bundle, "--bootstrap", 20, *arguments)

    return run


def test_openi(evaluate: Callable, openi: Path) -> None:
    done = evaluate("--openi", openi, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["nih"] is None
    assert [text["convention"] for text in found["openi"]["texts"]] == ["findings", "impression", "report"]
    text = found["openi"]["texts"][0]
    assert (text["studies"], text["abnormal"]) == (11, 8)
    assert set(text["systems"]) == {"model", "constant", "frequent", "random", "nearest", "tags alone", "references"}
    assert set(text["systems"]["tags alone"]) == {"F1-14 micro", "F1-14 macro", "F1-5 micro", "F1-5 macro"}
    model, references = text["systems"]["model"], text["systems"]["references"]
    assert model["BLEU-1"]["low"] <= model["BLEU-1"]["value"] <= model["BLEU-1"]["high"]
    assert text["systems"]["constant"]["distinct"]["value"] == pytest.approx(1 / 11)
    assert references["distinct"]["value"] > 1 / 11
    # the evidence tells the two findings apart without error, so the nearest report states the same ones
    assert text["systems"]["nearest"]["F1-14 micro"]["value"] == 1
    assert tuple(text["classes"]) == CLASSES
    assert text["classes"]["Cardiomegaly"]["positives"] + text["classes"]["Pleural Effusion"]["positives"] > 8
    assert found["openi"]["guards"]["reports"] == 11
    assert {name: counts["reports"] for name, counts in found["openi"]["language"].items()} == {
        "model": 11,
        "references": 11,
    }
    frontal, lateral = found["openi"]["abstention"]
    assert (frontal["kind"], frontal["plausible"], frontal["images"]) == ("Open-I frontal", True, 60)
    assert (lateral["kind"], lateral["plausible"], lateral["images"]) == ("Open-I lateral", False, LATERALS)
    assert frontal["shares"]["refused"]["value"] == 0
    assert lateral["shares"]["refused"]["value"] == 1
    for part in ("r2gen val", "r2gen_words", "60 words", "pycocoevalcap-", "20 resamples", "tiny 0 float32 sha256:"):
        assert part in found["signature"]


def test_openi_from_images(evaluate: Callable, openi: Path, tmp_path: Path) -> None:
    def measured(folder: Path, *options: str) -> dict:
        result = evaluate("--openi", folder, "--json", "--bootstrap", 0, *options)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    some = shutil.copytree(openi, tmp_path / "openi")
    kept = [10, 15, 25]  # of the val studies
    for image in (some / "images").iterdir():
        if not any(image.name.startswith(f"CXR{uid}_") for uid in kept):
            image.unlink()
    from_images, from_tags = measured(some, "--from-images"), measured(openi)
    assert from_images["signature"].startswith("openi r2gen val from images | ")
    assert from_tags["signature"].startswith("openi r2gen val from chexnet | ")
    assert [text["studies"] for text in from_images["openi"]["texts"]] == [3, 3, 3]
    shutil.rmtree(some / "images")
    result = evaluate("--openi", some, "--from-images")
    assert result.exit_code == 2
    assert "no val study has an image" in result.stderr


def test_the_same_figures_each_time(evaluate: Callable, openi: Path, nih: Path) -> None:
    def figures() -> dict:
        found = json.loads(evaluate("--openi", openi, "--nih", nih, "--json").stdout)
        for images in found["nih"]["sets"]:
            del images["ms_per_study"]
        return found

    assert figures() == figures()


def test_nih(evaluate: Callable, nih: Path, tmp_path: Path) -> None:
    plot, out = tmp_path / "plot.png", tmp_path / "out.json"
    done = evaluate("--nih", nih, "--nih", nih, "--plot", plot, "--json", "--out", out, "--samples", 2)
    assert (done.exit_code, done.stdout) == (0, "")
    found = json.loads(out.read_text())["nih"]
    alone, both = found["sets"]
    assert (alone["images"], both["images"], both["name"]) == (44, 88, "nih + nih")
    assert alone["findings"]["Effusion"]["positives"] == 22
    assert alone["findings"]["Hernia"]["figures"]["AUC"]["value"] is None
    # the same images twice: nothing that is measured changes but the counts
    assert (
        both["findings"]["Effusion"]["figures"]["AUC"]["value"]
        == alone["findings"]["Effusion"]["figures"]["AUC"]["value"]
    )
    labeler, lexicon = alone["agreement"]
    assert (len(labeler["classes"]), len(lexicon["classes"])) == (10, 13)
    # 22 effusions and 22 enlarged hearts among 44 images; saying all 10 classes of all has 44 hits in 440
    assert labeler["micro_f1"]["always all"]["value"] == pytest.approx(2 * 44 / (440 + 44))
    assert labeler["micro_f1"]["always none"]["value"] == 0
    assert [sample["label"] for sample in found["samples"]] == ["Effusion", "Cardiomegaly"]
    assert set(found["reliability"]) == set(FINDINGS)
    assert alone["language"]["reports"] == 44
    assert both["language"]["faults"]["repeats"] == 2 * alone["language"]["faults"]["repeats"]
    assert alone["variety"]["distinct by content"]["value"] <= alone["variety"]["distinct"]["value"]
    assert Image.open(plot).format == "PNG"
    rates = {rate["kind"]: rate for rate in found["abstention"]}
    assert rates["nih as it is"]["images"] == rates["noise"]["images"] == 44
    assert rates["nih as it is"]["shares"]["refused"]["value"] == 0
    noise = rates["noise"]["shares"]
    assert 0.8 < noise["refused"]["low"] <= noise["refused"]["value"] <= noise["warned"]["value"]
    assert rates["CT"]["images"] == 3
    assert {kind for kind, rate in rates.items() if rate["plausible"]} > {"nih as it is", "mirrored", "real radiograph"}


def test_tables(evaluate: Callable, openi: Path, nih: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = evaluate("--openi", openi, "--nih", nih, "--samples", 1, "--limit", 8)
    assert done.exit_code == 0, done.stderr
    *tables, signature = done.stdout.splitlines()
    assert max(map(len, tables)) <= 100
    assert signature.startswith("openi r2gen val from chexnet | ")  # on one line, to be compared
    assert "first 8 only" in signature
    for part in (
        "Findings, as R2Gen: 8 studies",
        "BLEU-4",
        "tags alone",
        "Pleural Effusion",
        "Tag head, nih: 8 images",
        "False alarms: chest radiographs",
        "Detection: anything else",
        "turned by 90 degrees",
        "Language: number of reports (faults) that",
        "distinct by content",
        "Open-I lateral",
    ):
        assert part in done.stdout
    assert "label Effusion; plan:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [[], ["--plot", "x.png", "--openi", "."], ["--samples", 1, "--openi", "."], ["--from-images", "--nih", "."]],
)
def test_usage(evaluate: Callable, arguments: list) -> None:
    done = evaluate(*arguments)
    assert done.exit_code == 2
    assert "hint:" in done.stderr


def test_missing_data(evaluate: Callable, openi: Path, tmp_path: Path) -> None:
    assert "not found" in evaluate("--nih", tmp_path).stderr
    assert "no ecgen-radiology" in evaluate("--openi", tmp_path).stderr
    (tmp_path / "ecgen-radiology").symlink_to(openi / "ecgen-radiology")
    done = evaluate("--openi", tmp_path)
    assert done.exit_code == 2
    assert "chexnet_predictions.csv: not found." in done.stderr


def test_one_failed_study_ends_the_evaluation(evaluate: Callable, openi: Path, tmp_path: Path) -> None:
    (tmp_path / "ecgen-radiology").symlink_to(openi / "ecgen-radiology")
    lines = (openi / "chexnet_predictions.csv").read_text().splitlines()
    damaged = [line.replace(",0.", ",7.", 1) if line.startswith("10,") else line for line in lines]
    (tmp_path / "chexnet_predictions.csv").write_text("\n".join(damaged))
    done = evaluate("--openi", tmp_path)
    assert done.exit_code == 6
    assert f"Row {11 + LATERALS}" in done.stderr
    assert not done.stdout


def test_without_the_extra(evaluate: Callable, openi: Path, nih: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = evaluate("--openi", openi)
    assert done.exit_code == 5
    assert "cxreport[evaluate]" in done.stderr
    assert evaluate("--nih", nih, "--limit", 2).exit_code == 0
