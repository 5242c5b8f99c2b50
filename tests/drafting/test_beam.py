from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.drafting.beam import search
from cxreport.drafting.word_scores import TopicScorer
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import DecodingDefaults, Manifest
from cxreport.model.session import WordOutput
from cxreport.model.texts import TextLimits
from cxreport.text.vocabulary import END, NO_WORD, PAD, SPECIAL_WORDS, UNK


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return replace(load_manifest(tiny_bundle), decoding=DecodingDefaults(max_sentences=4, min_words=1, max_words=9))


class Chain:
    """Stands for a model whose next word depends on the last one alone: (V + 1, V) scores, the first row at start."""

    def __init__(self, manifest: Manifest, scores: np.ndarray) -> None:
        self.manifest = manifest
        self.scores = scores.astype(np.float32)

    def word_step(self, topic: np.ndarray, word: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> WordOutput:
        return WordOutput(self.scores[word + 1], hidden, cell)


def small(manifest: Manifest, words: int) -> Manifest:
    return replace(manifest, vocabulary=manifest.vocabulary[:words])


def chain(manifest: Manifest, words: int, seed: int) -> Chain:
    scores = np.random.default_rng(seed).normal(size=(words + 1, words)) * 1.5
    return Chain(small(manifest, words), scores - np.log(np.exp(scores).sum(1, keepdims=True)))


def run(chain: Chain, beam: int, low: int, high: int) -> tuple[tuple[int, ...], float]:
    topic, banned = np.zeros((1, 24), np.float32), np.zeros((1, len(chain.manifest.vocabulary)), np.bool_)
    limits = TextLimits(beam, low, high, chain.manifest.long_words)
    (words,) = search(TopicScorer(chain, topic), topic.shape[1], banned, limits)  # type: ignore[arg-type]
    return words.ids, words.log_probability


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_best_sentence(manifest: Manifest, seed: int) -> None:
    model, low, high = chain(manifest, 7, seed), 2, 4
    best: tuple[float, tuple[int, ...]] = (-np.inf, ())
    for length in range(low, high + 1):
        for ids in itertools.product(range(3, 7), repeat=length):
            path = [*ids, END] if length < high else list(ids)
            total = sum(float(model.scores[a + 1, b]) for a, b in itertools.pairwise([NO_WORD, *path]))
            best = max(best, (total / (length + 1), ids))
    ids, log_probability = run(model, 300, low, high)
    assert ids == best[1]
    assert log_probability / (len(ids) + 1) == pytest.approx(best[0], rel=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_takes_the_likeliest_word(manifest: Manifest, seed: int) -> None:
    model = chain(manifest, 12, seed)
    word, ids = NO_WORD, []
    while len(ids) < 8:
        scores = model.scores[word + 1].copy()
        scores[[PAD, UNK] + [END] * (len(ids) < 2)] = -np.inf
        scores[[i for i in ids if len(model.manifest.vocabulary[i]) > 5]] = -np.inf
        for a, b, c in zip(ids, ids[1:], ids[2:], strict=False):
            if [a, b] == ids[-2:]:
                scores[c] = -np.inf
        word = int(scores.argmax())
        if word == END:
            break
        ids.append(word)
    assert run(model, 1, 2, 8)[0] == tuple(ids)


@pytest.mark.parametrize("beam", [1, 3])
def test_lengths_marks_and_trigrams(manifest: Manifest, beam: int) -> None:
    for seed in range(20):
        model = chain(manifest, 9, seed)
        model.scores[:, [PAD, UNK]] += 20
        model.scores[5:] -= 3 * np.eye(9, dtype=np.float32)[END]
        ids, _ = run(model, beam, 5, 30)
        assert 5 <= len(ids) <= 30
        assert min(ids) > UNK
        trigrams = list(zip(ids, ids[1:], ids[2:], strict=False))
        assert len(trigrams) == len(set(trigrams))


def test_equal_scores_go_to_the_smaller_id(manifest: Manifest) -> None:
    model = Chain(small(manifest, 8), np.zeros((9, 8)))
    assert run(model, 1, 3, 3)[0] == (3, 3, 3)
    assert run(model, 4, 3, 3)[0] == (3, 3, 3)


def test_a_sentence_without_allowed_words_is_left_out(manifest: Manifest) -> None:
    """A vocabulary of one word: after three of them, any word would repeat a trigram."""
    model = Chain(small(manifest, 4), np.zeros((5, 4)))
    assert run(model, 2, 9, 9)[0] == ()


def test_long_words_do_not_come_twice(manifest: Manifest) -> None:
    vocabulary = (*SPECIAL_WORDS, "the", "atelectasis")
    words = len(vocabulary)
    again = np.full((words + 1, words), -9.0)
    again[0, 4] = again[4 + 1, 3] = again[3 + 1, 4] = 0.0  # atelectasis the atelectasis the ...
    again[:, END] = -5.0
    ids, _ = run(Chain(replace(manifest, vocabulary=vocabulary), again), 1, 1, 9)
    assert ids[:2] == (4, 3)
    assert ids.count(4) == 1
