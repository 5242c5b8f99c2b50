"""The measures of `cxreport evaluate` on reports made up for this file, against values that can be derived by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from cxreport.evaluate import baselines, tags
from cxreport.evaluate.bootstrap import Figure, Statistics, draw_studies, estimate_by_rows, mean_statistics
from cxreport.evaluate.guards import count_guards, measure_agreement
from cxreport.evaluate.run import to_json
from cxreport.evaluate.tables.reliability_plot import reliability_plot
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.clinical import CLASSES
from cxreport.evaluate.text.metrics import CaptionMetrics, bleu
from cxreport.evaluate.text.variety import variety
from cxreport.text.conventions import JING_REPORT, R2GEN_FINDINGS, Preparer, SectionTexts, alphabetic_words, r2gen_words
from cxreport.text.lexicon import packaged
from cxreport.types import PlannedTag, Report, Study

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR needs Java")
NO_DRAWS = draw_studies(1, 0)
REFERENCES = [
    "the heart is enlarged . there is a small effusion .",
    "the lungs are clear . the heart is normal .",
    "no pneumothorax is seen .",
]
TEXTS = ["the heart is normal . there is an effusion .", "the lungs are clear . the heart is normal .", "no fluid ."]


@pytest.fixture(scope="module")
def metrics() -> CaptionMetrics:
    return CaptionMetrics()


def measured(statistics: list[Statistics], studies: int) -> dict[str, float]:
    draws = draw_studies(studies, 0)
    return {name: figure.value for some in statistics for name, figure in some.estimate(draws).items()}


# Text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "1. Heart size is normal. 2. No T12-fracture, or effusion..",
            "heart size is normal . no t12-fracture or effusion .",
        ),
        ("Clear lungs", "clear lungs ."),
        ("Clear (XXXX) lungs. ", "clear xxxx lungs ."),
    ],
)
def test_words_of_r2gen(text: str, words: str) -> None:
    assert " ".join(r2gen_words(text)) == words


def test_alphabetic_words_leave_out_what_has_a_digit() -> None:
    assert alphabetic_words("A 5 mm nodule at T12; well-expanded.") == ["a", "mm", "nodule", "at", "well", "expanded"]


def test_rare_words_are_unknown_and_long_texts_are_cut() -> None:
    prepare = Preparer(R2GEN_FINDINGS, ["Clear lungs."] * 3 + ["Rare lungs."] * 2)
    assert prepare("Rare clear lungs.") == "<unk> clear lungs ."
    assert len(prepare("lungs " * 80).split()) == 60
    assert Preparer(JING_REPORT, [])("12") == "<unk>"


def test_jing_puts_the_impression_first() -> None:
    assert JING_REPORT.text(SectionTexts("Clear lungs.", "Normal.")) == "Normal. Clear lungs."
    assert R2GEN_FINDINGS.text(SectionTexts("", "Normal.")) == ""


# Caption metrics


def test_bleu_by_hand(metrics: CaptionMetrics) -> None:
    found = measured(metrics.measure(["a b c e"], ["a b c d"]), 1)
    assert found["BLEU-1"] == pytest.approx(3 / 4)
    assert found["BLEU-2"] == pytest.approx((3 / 4 * 2 / 3) ** 0.5)
    assert measured(metrics.measure(["a b c d"], ["a b"]), 1)["BLEU-1"] == pytest.approx(np.exp(1 - 4 / 2))


def test_bleu_is_the_corpus_score_of_pycocoevalcap(metrics: CaptionMetrics) -> None:
    wanted, _ = Bleu().compute_score(*({i: [t] for i, t in enumerate(s)} for s in (REFERENCES, TEXTS)), verbose=0)
    found = measured(metrics.measure(REFERENCES, TEXTS), 3)
    assert [found[f"BLEU-{n}"] for n in range(1, 5)] == pytest.approx(wanted)


def test_rouge_and_cider_by_hand(metrics: CaptionMetrics) -> None:
    assert measured(metrics.measure(["a x c d"], ["a b c d"]), 1)["ROUGE-L"] == pytest.approx(3 / 4)
    same = ["a b c d", "e f g h"]
    assert measured(metrics.measure(same, same), 2)["CIDEr"] == pytest.approx(10)
    assert measured(metrics.measure(same, same[::-1]), 2)["CIDEr"] == 0


@needs_java
def test_meteor_is_the_corpus_score_of_its_own_program(metrics: CaptionMetrics) -> None:
    own = metrics._meteor.compute_score(*({i: [t] for i, t in enumerate(s)} for s in (REFERENCES, TEXTS)))[0]
    assert 0.2 < own < 0.9
    assert measured(metrics.measure(REFERENCES, TEXTS), 3)["METEOR"] == pytest.approx(own)
    assert measured(metrics.measure(REFERENCES, REFERENCES), 3)["METEOR"] == pytest.approx(1)


def test_without_java_there_is_no_meteor_and_the_signature_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    metrics = CaptionMetrics()
    assert "METEOR" not in measured(metrics.measure(REFERENCES, TEXTS), 3)
    assert "no METEOR" in metrics.signature


# Clinical


def stated(*names: str) -> list[bool]:
    return [name in names for name in CLASSES]


def test_f1_averages_by_hand() -> None:
    truth = np.array([stated("Edema"), stated("Edema", "Fracture"), stated("No Finding")])
    told = np.array([stated("Edema"), stated("Fracture", "Atelectasis"), stated("No Finding")])
    found = measured([clinical.f1_statistics(truth, told)], 3)
    # hits 3 (Edema, Fracture, No Finding), misses 1 (Edema), false alarms 1 (Atelectasis)
    assert found["F1-14 micro"] == pytest.approx(6 / 8)
    assert found["F1-14 macro"] == pytest.approx((2 / 3 + 1 + 1) / 14)
    assert found["F1-5 micro"] == pytest.approx(2 / 4)
    assert found["F1-5 macro"] == pytest.approx(2 / 3 / 5)
    edema = clinical.per_class(truth, told)["Edema"]
    assert (edema.positives, edema.precision, edema.recall, edema.f1) == (2, 1, 0.5, pytest.approx(2 / 3))


def test_classes_of_texts_and_of_plans() -> None:
    texts = ["Possible pneumonia.", "No effusion. The heart is enlarged.", "The lungs are clear."]
    read = [{c for c, told in zip(CLASSES, row, strict=True) if told} for row in clinical.read_classes(texts)]
    assert read == [{"Pneumonia"}, {"Cardiomegaly"}, {"No Finding"}]
    plans = [frozenset({"Hernia"}), frozenset({"Edema"}), frozenset({"Support Devices"}), frozenset()]
    planned = [{c for c, told in zip(CLASSES, row, strict=True) if told} for row in clinical.planned_classes(plans)]
    assert planned == [set(), {"Edema"}, {"No Finding", "Support Devices"}, {"No Finding"}]


# Variety, baselines


def test_variety_by_hand() -> None:
    found = variety(["A b.", "a b", "a c d", "e"], np.array([True, True, True, False]))
    assert {name: figure.value for name, figure in found.items()} == {
        "distinct": 3 / 4,
        "distinct, abnormal": pytest.approx(2 / 3),
        "modal": 1 / 2,
        "vocabulary": 5,
        "mean words": 2,
    }
    assert np.isnan(variety(["a"], np.array([False]))["distinct, abnormal"].value)


def test_the_constant_is_the_text_with_the_best_bleu_of_all() -> None:
    rng = np.random.default_rng(3)
    train = [" ".join(rng.choice(list("abcd"), rng.integers(5, 14))) for _ in range(30)]
    scores = []
    for text in train:
        sides = ({i: [t] for i, t in enumerate(train)}, {i: [text] for i in range(len(train))})
        scores.append(Bleu().compute_score(*sides, verbose=0)[0][-1])
    assert baselines.best_constant(train) == int(np.argmax(scores))
    assert len(set(np.round(scores, 6))) > 20


def test_the_other_baselines() -> None:
    assert baselines.most_frequent(["a", "b", "b"]) == 1
    drawn = baselines.random_reports(50, 7)
    assert set(drawn) <= set(range(7))
    assert len(set(drawn)) > 3
    assert (drawn == baselines.random_reports(50, 7)).all()
    # by logits .01 is nearer to .002 than to .2; by probabilities it would be as near to .1
    train = np.array([[0.2, 0.5], [0.002, 0.5]], np.float32)
    assert baselines.nearest_neighbours(np.array([[0.01, 0.5]], np.float32), train).tolist() == [1]


# Intervals


def test_the_bootstrap_is_the_same_each_time_and_holds_the_mean() -> None:
    rows = np.arange(100, dtype=float)[:, None]
    figures = [mean_statistics(("x",), rows).estimate(draw_studies(100, 500))["x"] for _ in range(2)]
    assert figures[0] == figures[1]
    assert figures[0].value == pytest.approx(49.5)
    # the standard error of the mean is 28.9 / 10
    assert figures[0].low == pytest.approx(49.5 - 1.96 * 2.89, abs=0.8)
    assert figures[0].high == pytest.approx(49.5 + 1.96 * 2.89, abs=0.8)
    by_rows = estimate_by_rows(("x",), lambda chosen: [float(rows[chosen].mean())], draw_studies(100, 500))["x"]
    assert (by_rows.low, by_rows.high) == pytest.approx((figures[0].low, figures[0].high))


def test_without_resamples_there_is_no_interval() -> None:
    assert mean_statistics(("x",), np.ones((1, 1))).estimate(NO_DRAWS)["x"] == Figure(1.0, None, None)
    assert to_json({"x": Figure(float("nan"))}) == {"x": {"value": None, "low": None, "high": None}}


def test_bleu_of_resamples_is_bleu_of_the_resampled_corpus(metrics: CaptionMetrics) -> None:
    statistics = metrics.measure(REFERENCES, TEXTS)[0]
    twice = metrics.measure([REFERENCES[0]] * 2 + [REFERENCES[2]], [TEXTS[0]] * 2 + [TEXTS[2]])[0]
    resampled = bleu(np.array([[2, 0, 1]]) @ statistics.rows)
    assert resampled[0] == pytest.approx([figure.value for figure in twice.estimate(draw_studies(3, 0)).values()])


# Tags


def test_calibration_error_by_hand() -> None:
    bins = tags.reliability_bins(np.array([0.1, 0.1, 0.9, 0.9], np.float32), np.array([0, 0, 1, 0], np.float32))
    assert bins.counts.tolist() == [2, 2]
    assert bins.error == pytest.approx((0.1 + 0.4) / 2)
    certain = tags.reliability_bins(np.array([1.0, 0.0], np.float32), np.array([1, 0], np.float32))
    assert certain.error == 0


def test_average_precision_by_hand() -> None:
    labels = np.array([1, 0, 1], np.float32)
    assert tags.average_precision(np.array([0.9, 0.8, 0.7], np.float32), labels) == pytest.approx((1 + 2 / 3) / 2)
    assert tags.average_precision(np.array([0.5, 0.5, 0.5], np.float32), labels) == pytest.approx(2 / 3)
    assert np.isnan(tags.average_precision(np.array([0.5], np.float32), np.array([0], np.float32)))


def test_findings_and_their_means() -> None:
    labels = np.zeros((40, 2), np.float32)
    labels[:10, 0], labels[:9, 1] = 1, 1
    scores = np.where(labels > 0, 0.8, 0.2).astype(np.float32)
    scores[0, 0] = 0.1
    found = tags.measure_findings(scores, labels, ("A", "B"), np.full(2, 0.5, np.float32), draw_studies(40, 20))
    assert found["A"].figures["AUC"].value == pytest.approx(0.9)
    assert (found["A"].sensitivity, found["A"].specificity) == (pytest.approx(0.9), 1)
    assert found["B"].figures["AUC"] == Figure(1.0, 1.0, 1.0)
    means = tags.measure_means(scores, labels, draw_studies(40, 20))
    assert means == found["A"].figures  # B has too few positives


def test_the_plot_has_a_square_per_finding() -> None:
    bins = tags.reliability_bins(np.array([0.1, 0.9], np.float32), np.array([0, 1], np.float32))
    few, many = (reliability_plot({str(i): bins for i in range(n)}) for n in (4, 5))
    assert many.width == few.width
    assert many.height > few.height
    assert len(few.getcolors(1 << 20)) > 2


# Guards


def report(plan: tuple[str, ...], findings: tuple[str, ...], impression: tuple[str, ...] = ("No disease.",)) -> Report:
    study = Study("x", ("x",), None, tags={})
    return Report(study, (), tuple(PlannedTag(tag, 0.5) for tag in plan), findings, impression)


def test_guards_count_reports() -> None:
    reports = [
        report(("Cardiomegaly",), ("The heart is enlarged.",)),
        report(("Cardiomegaly",), ("There is a pleural effusion.",)),
        report((), ("The lungs are clear.",), ()),
    ]
    counts = count_guards(reports, packaged())
    assert (counts.reports, counts.unplanned, counts.untold, counts.empty_section, counts.no_plan) == (3, 1, 1, 1, 1)


def test_agreement_by_hand() -> None:
    truth, told, planned = (np.array(rows, bool) for rows in ([[1, 0], [1, 0]], [[1, 1], [0, 0]], [[1, 0], [1, 0]]))
    found = measure_agreement("labeler", ("A", "B"), truth, told, planned, ~truth, draw_studies(2, 0))
    values = {name: figure.value for name, figure in found.micro_f1.items()}
    expected = {"report": 0.5, "plan": 1.0, "tags": 0.0, "always all": 2 * 2 / 6, "always none": 0.0}
    assert values == pytest.approx(expected)
    assert (found.planned_told, found.told_unplanned) == (0.5, 0.5)
