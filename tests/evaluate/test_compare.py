"""`cxreport evaluate --compare`, on generated data with the tiny bundles."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from places import DATA
from training_data import make_nih, make_openi

from cxreport.datasets.nih import read_labels
from cxreport.errors import ExitCode, UsageError
from cxreport.evaluate import compare
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.types import Report

pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")

CAPTIONER = DATA / "tiny_captioner"
VAL = 20
NO_INTERVALS = EvaluateOptions(bootstrap=0)


@pytest.fixture(scope="module")
def openi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_openi(tmp_path_factory.mktemp("openi") / "openi", reports=60, size=32)


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("nih") / "nih", images=4, val=VAL, size=32)


@pytest.fixture
def blind(openi: Path, tmp_path: Path) -> Path:
    """Open-I as most have it, without images."""
    return shutil.copytree(openi, tmp_path / "openi", ignore=shutil.ignore_patterns("images"))


@pytest.fixture
def run(run_cli: Callable) -> Callable:
    def run(*arguments: object):
        return run_cli("evaluate", "--bootstrap", 20, *arguments)

    return run


def drafted(monkeypatch: pytest.MonkeyPatch) -> list[list[Report]]:
    """What `compare` drafts from now on, call by call."""
    calls: list[list[Report]] = []
    real = compare.draft

    def draft(*arguments) -> list[Report]:
        calls.append(real(*arguments))
        return calls[-1]

    monkeypatch.setattr(compare, "draft", draft)
    return calls


def test_systems_stand_beside_baselines(run: Callable, tiny_bundle: Path, nih: Path, blind: Path) -> None:
    done = run("--compare", tiny_bundle, CAPTIONER, "--nih", nih, "--openi", blind, "--json")
    assert done.exit_code == 0, done.stderr
    comparison = json.loads(done.stdout)
    assert [(s["name"], s["architecture"]) for s in comparison["systems"]] == [
        *(("tiny", "co-attention"), ("tiny-captioner", "soft-attention"), ("constant", None), ("random", None))
    ]
    assert (comparison["images"], comparison["reports"], comparison["abnormal"], comparison["own"]) == (VAL, 11, 8, 0)
    assert 4 <= comparison["stand_ins"] <= 11
    for system in comparison["systems"]:
        assert {"BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr", "F1-5 micro", "F1-14 macro", "distinct"} <= set(system["texts"])
        assert {"F1, labeler micro", "F1, lexicon macro", "sentences", "distinct"} <= set(system["images"])
        for figures in (system["texts"]["BLEU-4"], system["images"]["F1, labeler micro"]):
            assert figures["low"] <= figures["value"] <= figures["high"]
        assert (system["ms_per_study"] is None) == (system["sha256"] is None)
    tiny, captioner, constant, random = comparison["systems"]
    assert constant["texts"]["distinct"]["value"] == pytest.approx(1 / 11)
    assert constant["images"]["distinct"]["value"] == pytest.approx(1 / VAL)
    assert random["texts"]["distinct"]["value"] > 1 / 11
    # the constant states one of the two findings, which half of the images have each
    f1 = {name: figure["value"] for name, figure in constant["images"].items() if name.startswith("F1")}
    assert f1 == pytest.approx(
        {f"F1, {reader} micro": 1 / 2 for reader in ("labeler", "lexicon")}
        | {"F1, labeler macro": 2 / 3 / 10, "F1, lexicon macro": 2 / 3 / 13}
    )
    assert constant["texts"]["BLEU-4"]["value"] > max(s["texts"]["BLEU-4"]["value"] for s in (tiny, captioner))
    for part in (
        *("compare 2 bundles", f"nih val nih ({VAL})", "0 own images, 11 stand-ins", "20 resamples"),
        *(f"tiny 0 float32 sha256:{tiny['sha256']}", f"tiny-captioner 0 float32 sha256:{captioner['sha256']}"),
    ):
        assert part in comparison["signature"]


def test_every_image_is_drafted_from_once_and_stands_in_by_labels(
    tiny_bundle: Path, nih: Path, blind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, measured = drafted(monkeypatch), []
    real = compare._Measures.texts
    monkeypatch.setattr(compare._Measures, "texts", lambda self, system: measured.append(system) or real(self, system))
    compare.compare([tiny_bundle], blind, [nih], NO_INTERVALS)
    images, own = calls
    assert (len(images), own) == (VAL, [])
    data = compare._read(blind, [nih], np.stack([read_labels(nih)[report.study.id] for report in images]), None)
    assert [text.findings for text in measured[0].texts] == [" ".join(images[i].findings) for i in data.images]
    # the evidence of the generated reports is that of their sentences, so the labels of the stand-ins are theirs
    effusion, heart = data.labels[:, 2] > 0, data.labels[:, 1] > 0
    for report, image in zip(data.val, data.images, strict=True):
        assert effusion[image] == ("effusion" in report.findings)
        assert heart[image] == ("heart is enlarged" in report.findings)


def test_an_image_of_its_own_goes_before_a_stand_in(
    tiny_bundle: Path, nih: Path, openi: Path, blind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (blind / "images").mkdir()
    for uid in (10, 25):
        name = f"CXR{uid}_IM-0001-1001.png"
        shutil.copy(openi / "images" / name, blind / "images" / name)
    (blind / "images" / "CXR15_IM-0001-1001.png").write_text("damaged")
    calls = drafted(monkeypatch)
    comparison = compare.compare([tiny_bundle, CAPTIONER], blind, [nih], NO_INTERVALS)
    assert (comparison.own, comparison.reports) == (2, 11)
    assert [[report.study.id for report in own] for own in calls[1::2]] == [["10", "25"]] * 2
    assert "from 2 own images, 9 stand-ins" in comparison.signature
    everyone = compare.compare([tiny_bundle], openi, [nih], NO_INTERVALS)
    assert (everyone.own, everyone.stand_ins) == (11, 0)


def test_reports_without_findings_are_not_compared(tiny_bundle: Path, nih: Path, blind: Path) -> None:
    reports = blind / "ecgen-radiology"
    empty = '<eCitation><uId id="CXR{}"/><AbstractText Label="IMPRESSION">Normal.</AbstractText></eCitation>'
    (reports / "10.xml").write_text(empty.format(10))
    assert compare.compare([tiny_bundle], blind, [nih], NO_INTERVALS).reports == 10
    for path in reports.iterdir():
        path.write_text(empty.format(path.stem))
    with pytest.raises(UsageError, match="has Findings"):
        compare.compare([tiny_bundle], blind, [nih], NO_INTERVALS)


def test_a_study_without_evidence_gets_a_stand_in_too(tiny_bundle: Path, nih: Path, blind: Path) -> None:
    table = blind / "chexnet_predictions.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if not line.startswith("10,")))
    comparison = compare.compare([tiny_bundle], blind, [nih], NO_INTERVALS)
    assert (comparison.reports, comparison.own) == (11, 0)
    table.unlink()
    with pytest.raises(UsageError, match=r"chexnet_predictions\.csv: not found"):
        compare.compare([tiny_bundle], blind, [nih], NO_INTERVALS)


def test_several_folders_and_a_limit(tiny_bundle: Path, nih: Path, blind: Path) -> None:
    comparison = compare.compare([tiny_bundle], blind, [nih, nih], EvaluateOptions(bootstrap=0, limit=4))
    assert (comparison.images, comparison.reports) == (8, 4)
    assert "nih + nih (8)" in comparison.signature
    assert "first 4 only" in comparison.signature


def test_tables(run: Callable, tiny_bundle: Path, nih: Path, blind: Path) -> None:
    done = run("--compare", tiny_bundle, "--compare", CAPTIONER, "--nih", nih, "--openi", blind)
    assert done.exit_code == 0, done.stderr
    *tables, signature = done.stdout.splitlines()
    assert max(map(len, tables)) <= 100
    assert signature.startswith("compare 2 bundles | ")
    for part in (
        "11 Open-I reports; images: 0 own",
        f"Reports of {VAL} NIH images",
        "soft-attention",
        "tiny-captioner",
    ):
        assert part in done.stdout
    rows = [line.split() for line in tables if line.startswith("co-attention")]
    assert [len(row) for row in rows] == [11, 8]


def test_training_runs_are_exported_first(
    run: Callable, tiny_bundle: Path, nih: Path, blind: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[tuple[Path, Path]] = []
    fake = ModuleType("export_run")

    def export(folder: Path, out: Path) -> None:
        exported.append((folder, out))
        shutil.copytree(CAPTIONER, out)

    def has_torch(installed: bool) -> None:
        real = importlib.util.find_spec
        spec = ModuleSpec("torch", None) if installed else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "torch" else real(name))

    has_torch(True)
    fake.export = export
    monkeypatch.setitem(sys.modules, "cxreport.train.export.run", fake)
    folder = tmp_path / "run"
    folder.mkdir()
    arguments = "--compare", folder, tiny_bundle, "--nih", nih, "--openi", blind, "--json", "--limit", 5
    done = run(*arguments)
    assert done.exit_code == 2
    assert "neither a bundle (model.json) nor a finished training run (run.json)" in " ".join(done.stderr.split())
    (folder / "run.json").write_text("{}")
    comparison = json.loads(run(*arguments).stdout)
    assert [system["name"] for system in comparison["systems"]] == ["tiny-captioner", "tiny", "constant", "random"]
    ((source, out),) = exported
    assert source == folder
    assert not out.exists()
    has_torch(False)
    done = run(*arguments)
    assert done.exit_code == 5
    assert "cxreport[train]" in done.stderr
    assert len(exported) == 1


@pytest.fixture
def pair(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A float bundle that holds what passes for its int8 bundle: the same graphs under another precision."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "pair")
    int8 = shutil.copytree(tiny_bundle, folder / "int8") / "model.json"
    facts = {"precision": "int8", "quantised_from": load_manifest(folder).sha256}
    int8.write_text(json.dumps(json.loads(int8.read_text()) | facts))
    return folder


@pytest.mark.parametrize(
    ("precision", "folder"), [("int8", "int8"), ("float32", "."), ("auto", ".")], ids=["int8", "float32", "auto"]
)
def test_the_precision_asked_for_is_measured_and_named(
    run: Callable, pair: Path, nih: Path, blind: Path, monkeypatch: pytest.MonkeyPatch, precision: str, folder: str
) -> None:
    manifests: list[Manifest] = []
    encode = Model.encode_batch
    monkeypatch.setattr(
        Model, "encode_batch", lambda self, batch: manifests.append(self.manifest) or encode(self, batch)
    )
    done = run("--compare", pair, "--nih", nih, "--openi", blind, "--limit", 3, "--json", "--precision", precision)
    assert done.exit_code == 0, done.stderr
    comparison = json.loads(done.stdout)
    wanted = load_manifest(pair / folder)
    assert {manifest.sha256 for manifest in manifests} == {wanted.sha256}
    assert comparison["systems"][0]["sha256"] == wanted.sha256
    assert wanted.identity in comparison["signature"]
    assert f" {wanted.precision} sha256:" in wanted.identity


def test_a_precision_that_a_bundle_lacks_ends_the_comparison_before_it_begins(
    run: Callable, pair: Path, tiny_bundle: Path, nih: Path, blind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = drafted(monkeypatch)
    done = run("--compare", pair, tiny_bundle, "--nih", nih, "--openi", blind, "--precision", "int8")
    message = " ".join(done.stderr.split())
    assert done.exit_code == ExitCode.BUNDLE
    assert f"{tiny_bundle.name}: the bundle has no int8 precision." in message
    assert "cxreport export --int8" in message
    assert calls == []


def test_a_training_run_has_no_int8_precision(
    run: Callable, pair: Path, nih: Path, blind: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    done = run("--compare", folder, pair, "--nih", nih, "--openi", blind, "--precision", "int8")
    message = " ".join(done.stderr.split())
    assert done.exit_code == 2
    assert "a training run has no int8 precision." in message
    assert "Export it first, with `cxreport export --int8`" in message


@pytest.mark.parametrize(
    "arguments", [["--compare", "RUN", "--nih", ".", "--openi", "."], ["--nih", "."]], ids=["compare", "alone"]
)
def test_half_precision_is_for_gpus(run: Callable, arguments: list[str]) -> None:
    done = run(*arguments, "--precision", "float16")
    assert done.exit_code == 2
    assert "float16 is for GPUs, and cxreport evaluate runs on the CPU" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "RUN goes with --compare"),
        (["--compare", "--nih", ".", "--openi", "."], "needs bundles or run folders"),
        (["--compare", "RUN", "--nih", "."], "needs both --nih and --openi"),
        (["--compare", "RUN", "--nih", ".", "--openi", ".", "--model", "x"], "--model does not go"),
        (["--compare", "RUN", "--nih", ".", "--openi", ".", "--plot", "x"], "--plot does not go"),
        (["--compare", "RUN", "--nih", ".", "--openi", ".", "--dataset", "coco", "--data", "."], "coco does not go"),
    ],
)
def test_usage(run: Callable, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "cxreport evaluate --compare RUN1 RUN2 --nih DIR --openi DIR" in " ".join(done.stderr.split())
