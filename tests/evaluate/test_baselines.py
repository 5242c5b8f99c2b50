"""Baselines: the best constant of all, and the others."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate import baselines

pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
from pycocoevalcap.bleu.bleu import Bleu


def test_the_constant_is_the_text_with_the_best_bleu_of_all() -> None:
    rng = np.random.default_rng(3)
    train = [" ".join(rng.choice(list("abcd"), rng.integers(5, 14))) for _ in range(30)]
    scores = []
    for text in train:
        sides = ({i: [t] for i, t in enumerate(train)}, {i: [text] for i in range(len(train))})
        scores.append(Bleu().compute_score(*sides, verbose=0)[0][-1])
    assert baselines.best_constant(train) == int(np.argmax(scores))
    assert len(set(np.round(scores, 6))) > 20


def test_the_constant_for_several_references_is_the_best_of_all() -> None:
    rng = np.random.default_rng(4)

    def text() -> str:
        return " ".join(rng.choice(list("abcd"), rng.integers(5, 14)))

    references = [[text() for _ in range(rng.integers(1, 4))] for _ in range(20)]
    train = [text for texts in references for text in texts]
    scores = [
        Bleu().compute_score(dict(enumerate(references)), {i: [text] for i in range(20)}, verbose=0)[0][-1]
        for text in train
    ]
    assert baselines.best_constant(train, references) == int(np.argmax(scores))
    assert baselines.best_constant(train) != int(np.argmax(scores))


def test_the_other_baselines() -> None:
    assert baselines.most_frequent(["a", "b", "b"]) == 1
    drawn = baselines.random_reports(50, 7)
    assert set(drawn) <= set(range(7))
    assert len(set(drawn)) > 3
    assert (drawn == baselines.random_reports(50, 7)).all()
    # by logits .01 is nearer to .002 than to .2; by probabilities it would be as near to .1
    train = np.array([[0.2, 0.5], [0.002, 0.5]], np.float32)
    assert baselines.nearest_neighbours(np.array([[0.01, 0.5]], np.float32), train).tolist() == [1]
