"""Text metrics against values by hand and against pycocoevalcap itself, of one reference and of several."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from captions import needs_java, values

from cxreport.evaluate.bootstrap import draw_studies
from cxreport.evaluate.text.metrics import CaptionMetrics, bleu

pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

REFERENCES = [
    "the heart is enlarged . there is a small effusion .",
    "the lungs are clear . the heart is normal .",
    "no pneumothorax is seen .",
]
TEXTS = ["the heart is normal . there is an effusion .", "the lungs are clear . the heart is normal .", "no fluid ."]
REFERENCE_LISTS = [
    ["a red circle is left of a blue square", "a blue square right of it", "two shapes"],
    ["a green star is above a ring"],
    ["a ring below a green star is small", "a star", "a star over a ring", "a green star"],
]
CAPTIONS = ["a red circle is right of a blue square", "a green star is above a red ring", "a ring below a star"]


def numbered(texts: list[str]) -> dict[int, list[str]]:
    return {i: [text] for i, text in enumerate(texts)}


def test_bleu_by_hand(metrics: CaptionMetrics) -> None:
    figures = values(metrics.measure(["a b c e"], ["a b c d"]), 1)
    assert figures["BLEU-1"] == pytest.approx(3 / 4)
    assert figures["BLEU-2"] == pytest.approx((3 / 4 * 2 / 3) ** 0.5)
    assert values(metrics.measure(["a b c d"], ["a b"]), 1)["BLEU-1"] == pytest.approx(np.exp(1 - 4 / 2))


def test_bleu_is_the_corpus_score_of_pycocoevalcap(metrics: CaptionMetrics) -> None:
    expected, _ = Bleu().compute_score(numbered(REFERENCES), numbered(TEXTS), verbose=0)
    figures = values(metrics.measure(REFERENCES, TEXTS), 3)
    assert [figures[f"BLEU-{n}"] for n in range(1, 5)] == pytest.approx(expected)


def test_bleu_of_resamples_is_bleu_of_the_resampled_corpus(metrics: CaptionMetrics) -> None:
    statistics = metrics.measure(REFERENCES, TEXTS)[0]
    twice = metrics.measure([REFERENCES[0]] * 2 + [REFERENCES[2]], [TEXTS[0]] * 2 + [TEXTS[2]])[0]
    resampled = bleu(np.array([[2, 0, 1]]) @ statistics.rows)
    assert resampled[0] == pytest.approx([figure.value for figure in twice.estimate(draw_studies(3, 0)).values()])


def test_bleu_takes_the_closest_reference_length_and_the_shorter_of_two(metrics: CaptionMetrics) -> None:
    def length(*references: str) -> float:
        return metrics.measure([references], ["a b c d"])[0].rows[0, 1]

    assert length("a", "a b c", "a b c d e f") == 3
    assert length("a b c d e", "a b c") == 3


def test_rouge_and_cider_by_hand(metrics: CaptionMetrics) -> None:
    assert values(metrics.measure(["a x c d"], ["a b c d"]), 1)["ROUGE-L"] == pytest.approx(3 / 4)
    same = ["a b c d", "e f g h"]
    assert values(metrics.measure(same, same), 2)["CIDEr"] == pytest.approx(10)
    assert values(metrics.measure(same, same[::-1]), 2)["CIDEr"] == 0


@pytest.mark.slow
@needs_java
def test_meteor_is_the_corpus_score_of_its_own_program(metrics: CaptionMetrics) -> None:
    expected = metrics._meteor.compute_score(numbered(REFERENCES), numbered(TEXTS))[0]
    assert 0.2 < expected < 0.9
    assert values(metrics.measure(REFERENCES, TEXTS), 3)["METEOR"] == pytest.approx(expected)
    assert values(metrics.measure(REFERENCES, REFERENCES), 3)["METEOR"] == pytest.approx(1)


def test_without_java_there_is_no_meteor_and_the_signature_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    metrics = CaptionMetrics()
    assert "METEOR" not in values(metrics.measure(REFERENCES, TEXTS), 3)
    assert "no METEOR" in metrics.signature


def test_several_references_as_pycocoevalcap(metrics: CaptionMetrics) -> None:
    sides = dict(enumerate(REFERENCE_LISTS)), numbered(CAPTIONS)
    figures = values(metrics.measure(REFERENCE_LISTS, CAPTIONS), 3)
    bleus, _ = Bleu().compute_score(*sides, verbose=0)
    assert [figures[f"BLEU-{n}"] for n in range(1, 5)] == pytest.approx(bleus)
    assert figures["ROUGE-L"] == pytest.approx(Rouge().compute_score(*sides)[0])
    assert figures["CIDEr"] == pytest.approx(Cider().compute_score(*sides)[0])
    single = values(metrics.measure([references[0] for references in REFERENCE_LISTS], CAPTIONS), 3)
    assert all(figures[name] > single[name] for name in ("BLEU-4", "ROUGE-L"))
    assert values(metrics.measure([[references[0]] for references in REFERENCE_LISTS], CAPTIONS), 3) == single


@pytest.mark.slow
@needs_java
def test_meteor_of_several_references_is_that_of_its_own_program(metrics: CaptionMetrics) -> None:
    assert metrics._meteor is not None
    expected, by_text = metrics._meteor.compute_score(dict(enumerate(REFERENCE_LISTS)), numbered(CAPTIONS))
    statistics = metrics.measure(REFERENCE_LISTS, CAPTIONS)[-1]
    assert values([statistics], 3)["METEOR"] == pytest.approx(expected)
    assert statistics.figures(statistics.rows)[:, 0] == pytest.approx(by_text)
