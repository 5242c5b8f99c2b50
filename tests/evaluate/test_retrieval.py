"""Retrieval in `cxreport evaluate`, on similarities made up for this file and with the tiny bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_data import make_nih, make_openi

from cxreport.errors import UsageError
from cxreport.evaluate import retrieval
from cxreport.evaluate.bootstrap import draw_studies
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.retrieval import COSINE, EMBEDDING, PRODUCT, TAGS
from cxreport.model.session import Model


@pytest.fixture(scope="module")
def openi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_openi(tmp_path_factory.mktemp("openi") / "openi", reports=60, size=32)


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("nih") / "nih", images=4, val=20, size=32)


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def labels(*rows: set[int]) -> np.ndarray:
    return np.array([[i in row for i in range(14)] for row in rows])


def test_findings_by_hand() -> None:
    # 20 images; the name brings the positives of A up, the tag head those of B; C has none, D has one, found last
    truth = np.zeros((20, 4), bool)
    truth[:5, 0], truth[15:, 1], truth[19, 3] = True, True, True
    rising = np.arange(20, dtype=np.float32)
    name = np.stack([-rising, -rising, rising, -rising], 1)
    head = np.stack([rising, rising, rising, np.zeros(20, np.float32)], 1)
    findings, lifts = retrieval.measure_findings(
        {EMBEDDING: name, TAGS: head}, truth, list("ABCD"), draw_studies(20, 0)
    )
    assert [findings[n].positives for n in "ABCD"] == [5, 5, 0, 1]
    assert [findings[n].prevalence for n in "ABCD"] == [0.25, 0.25, 0, 0.05]
    assert [findings[n].precision[EMBEDDING].value for n in "ABCD"] == [0.5, 0, 0, 0]
    # all tie for D: ten of twenty places, one positive
    assert [findings[n].precision[TAGS].value for n in "ABCD"] == pytest.approx([0, 0.5, 0, 0.05])
    assert lifts[EMBEDDING].value == pytest.approx((2 + 0 + 0) / 3)
    assert lifts[TAGS].value == pytest.approx((0 + 2 + 1) / 3)


def test_lifts_without_any_positive_are_not_defined() -> None:
    scores = {EMBEDDING: np.ones((3, 1), np.float32)}
    _, lifts = retrieval.measure_findings(scores, np.zeros((3, 1), bool), ["A"], draw_studies(3, 0))
    assert np.isnan(lifts[EMBEDDING].value)


def test_intervals_of_findings_hold_the_value() -> None:
    random = np.random.default_rng(1)
    truth = random.random((200, 1)) < 0.3
    scores = (truth + random.normal(0, 1, truth.shape)).astype(np.float32)
    findings, lifts = retrieval.measure_findings({EMBEDDING: scores}, truth, ["A"], draw_studies(200, 200))
    for figure in (findings["A"].precision[EMBEDDING], lifts[EMBEDDING]):
        assert figure.low < figure.value < figure.high


def test_reports_by_hand() -> None:
    images = labels({0}, {0, 1}, set())
    reports = labels(set(), {0}, {1}, {0, 1}, {2}, set(), set(), {2})
    scores = floats(
        [0, 0.9, 0.2, 0.8, 0.7, 0.6, 0.5, 0.1],  # 1 3 4 5 6: two share the label
        [0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.1],  # 1 2 3 4 5: three share one
        [0.9, 0.1, 0, 0, 0.8, 0.7, 0.6, 0.5],  # 0 4 5 6 7: three state nothing
    )
    groups = {g.name: g for g in retrieval.measure_reports({EMBEDDING: scores}, images, reports, 0)}
    assert {name: group.images for name, group in groups.items()} == {"labelled": 2, "unlabelled": 1, "all": 3}
    values = {n: {who: f.value for who, f in g.precision.items()} for n, g in groups.items()}
    assert values["labelled"][EMBEDDING] == pytest.approx((2 / 5 + 3 / 5) / 2)
    assert values["unlabelled"][EMBEDDING] == pytest.approx(3 / 5)
    assert values["all"][EMBEDDING] == pytest.approx((2 + 3 + 3) / 15)
    # two reports with 0, three with 0 or 1, three with none, of eight
    assert values["labelled"]["random"] == pytest.approx((2 + 3) / 16)
    assert values["unlabelled"]["random"] == pytest.approx(3 / 8)
    # 3, 1 and 2 have the most frequent findings; the last two places are any of the five others', three without one
    assert values["labelled"]["constant"] == pytest.approx((2 / 5 + 3 / 5) / 2)
    assert values["unlabelled"]["constant"] == pytest.approx(2 * 3 / 5 / 5)
    assert {n: g.distinct[EMBEDDING] for n, g in groups.items()} == {"labelled": 6, "unlabelled": 5, "all": 8}
    assert {g.distinct["constant"] for g in groups.values()} == {5}
    assert "random" not in groups["all"].distinct


def test_reports_with_many_findings_please_the_measure() -> None:
    random = np.random.default_rng(3)
    images = np.eye(14, dtype=bool)[random.integers(0, 5, 100)]
    reports = np.concatenate([np.eye(14, dtype=bool)[random.integers(0, 5, 60)], labels(*[set(range(5))] * 5)])
    (group, _) = retrieval.measure_reports({}, images, reports, 0)
    assert group.precision["constant"].value == 1
    assert group.precision["random"].value < 0.4


def test_a_group_without_images_is_left_out() -> None:
    groups = retrieval.measure_reports({}, labels({0}), labels({0}, set()), 20)
    assert [group.name for group in groups] == ["labelled", "all"]
    assert groups[0].precision["random"].low == groups[0].precision["random"].high == 0.5


def test_the_tiny_bundle(model: Model, nih: Path, openi: Path) -> None:
    figures = retrieval.evaluate_retrieval(model, openi, [nih, nih], EvaluateOptions(bootstrap=20))
    assert (figures.images, figures.reports, figures.split) == (40, 11, "r2gen val")
    # the tiny bundle's text encoder knows no word of the others
    assert set(figures.findings) == {
        *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Pneumothorax", "Pleural_Thickening")
    }
    assert figures.findings["Effusion"].positives == 20
    assert figures.findings["Atelectasis"].positives == 0
    labelled, unlabelled, everyone = figures.groups
    assert (labelled.images, unlabelled.images, everyone.images) == (30, 10, 40)
    assert set(everyone.precision) == {EMBEDDING, COSINE, PRODUCT, "constant", "random"}
    shares = [(g.precision[EMBEDDING].value, g.images) for g in (labelled, unlabelled)]
    assert everyone.precision[EMBEDDING].value == pytest.approx(sum(p * n for p, n in shares) / 40)
    # of the 11 val reports 3 state no finding
    assert unlabelled.precision["random"].value == pytest.approx(3 / 11)
    first = retrieval.evaluate_retrieval(model, openi, [nih], EvaluateOptions(bootstrap=0, limit=6))
    assert (first.images, first.reports) == (6, 6)


def test_a_perfect_tag_head_ranks_reports_that_share_a_label_first(
    model: Model, nih: Path, openi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, names = retrieval.encode_images, model.manifest.tag_names
    split = retrieval.read_val([nih], 32)[0]
    truth = {image.tobytes(): row for image, row in zip(split.pixels, split.labels, strict=True)}

    def encode(model: Model, images: np.ndarray) -> list:
        tags = [dict(zip(names, map(float, truth[pixels.tobytes()]), strict=True)) for pixels in images]
        return [replace(encoding, tags=row) for encoding, row in zip(real(model, images), tags, strict=True)]

    monkeypatch.setattr(retrieval, "encode_images", encode)
    monkeypatch.setattr(retrieval, "has_known_word", lambda vocabulary, text: text == "Effusion")
    figures = retrieval.evaluate_retrieval(model, openi, [nih], EvaluateOptions(bootstrap=0))
    assert list(figures.findings) == ["Effusion"]
    assert figures.findings["Effusion"].precision[TAGS].value == 1
    labelled = figures.groups[0]
    assert labelled.precision[COSINE].value == labelled.precision[PRODUCT].value == 1
    assert labelled.precision["random"].value < 1


def test_reports_that_say_nothing_are_no_collection(model: Model, nih: Path, openi: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(openi, tmp_path / "openi")
    for path in (folder / "ecgen-radiology").iterdir():
        path.write_text(f'<eCitation><uId id="{path.stem}"/></eCitation>')
    with pytest.raises(UsageError, match="no val report has a word"):
        retrieval.evaluate_retrieval(model, folder, [nih], EvaluateOptions())


@pytest.mark.slow
def test_evaluate_has_them_where_the_bundle_has_texts(
    run_cli: Callable, tiny_bundle: Path, nih: Path, openi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
    monkeypatch.setattr(shutil, "which", lambda name: None)  # METEOR takes seconds to start

    def run(*arguments: object):
        done = run_cli("evaluate", "--model", tiny_bundle, "--bootstrap", 0, "--limit", 5, "--nih", nih, *arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    assert json.loads(run("--json"))["retrieval"] is None
    figures = json.loads(run("--openi", openi, "--json"))
    assert figures["retrieval"]["images"] == 5
    assert "retrieval 5 nih val images, 5 openi r2gen val reports" in figures["signature"]
    text = run("--openi", openi)
    for part in ("by a finding's name", "mean over prevalence", "first 5 of 5 reports", "unlabelled", "tags, cosine"):
        assert part in text
