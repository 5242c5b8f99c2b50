"""Beam search of the word LSTM over many sentences at once; a width of 1 is greedy decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.bundle import END, NO_WORD, PAD, UNK
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.session import Model

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """A finished sentence."""

    ids: tuple[int, ...]
    log_probability: float
    """Sum over the words and the end mark."""

    @property
    def score(self) -> float:
        """Log-probability per word, the end mark counted."""
        return self.log_probability / (len(self.ids) + 1)


@dataclass(frozen=True)
class _Rows:
    """Unfinished sentences, one row each: the rows of a sentence adjacent, the likeliest first."""

    sentence: Ints
    """(N,) index of the topic."""
    ids: Ints
    """(N, t) words so far."""
    total: NDArray[np.float64]
    """(N,) sum of their log-probabilities."""
    hidden: Floats
    """(N, H)"""
    cell: Floats


@dataclass(frozen=True)
class _Candidates:
    """Continuations of rows by one word, C of them."""

    row: Ints
    word: Ints
    total: NDArray[np.float64]

    def take(self, chosen: NDArray[np.bool_] | Ints) -> _Candidates:
        """Keep some of them."""
        return _Candidates(self.row[chosen], self.word[chosen], self.total[chosen])


def search(
    model: Model, topics: Floats, banned: NDArray[np.bool_], beam: int, min_words: int, max_words: int
) -> list[Words]:
    """Decode the sentence of every topic.

    Each step continues a sentence's unfinished rows by their ``beam`` likeliest words altogether; rows that end leave
    the batch, and the beam narrows by them. The best of a sentence has the greatest log-probability per word. Nothing
    in a sentence depends on the others, and equal scores are decided by the order of rows and word ids.

    Args:
        model: a loaded bundle.
        topics: (N, H).
        banned: (N, V) words that a sentence may not have.
        beam: width.
        min_words: words before which a sentence may not end.
        max_words: words at which it is cut.
    """
    finished: list[list[Words]] = [[] for _ in topics]
    zeros = np.zeros((len(topics), model.manifest.sizes.hidden), np.float32)
    rows = _Rows(np.arange(len(topics)), np.empty((len(topics), 0), np.int64), np.zeros(len(topics)), zeros, zeros)
    for length in range(max_words):
        if not len(rows.sentence):
            break
        last = rows.ids[:, -1] if length else np.full(len(rows.sentence), NO_WORD, np.int64)
        scores, hidden, cell = model.word_step(topics[rows.sentence], last, rows.hidden, rows.cell)
        scores[banned[rows.sentence]] = -np.inf
        _forbid(scores, rows.ids, model.manifest.long_words, may_end=length >= min_words)
        best = _best_per_sentence(_best_per_row(scores, rows.total, beam), rows.sentence, beam)
        ends = best.word == END
        _finish(finished, rows, best.take(ends))
        best = best.take(~ends)
        ids = np.concatenate([rows.ids[best.row], best.word[:, None]], axis=1)
        rows = _Rows(rows.sentence[best.row], ids, best.total, hidden[best.row], cell[best.row])
    for sentence, ids, total in zip(rows.sentence, rows.ids, rows.total, strict=True):
        finished[sentence].append(Words(tuple(ids.tolist()), float(total)))
    return [max(found, key=lambda words: words.score, default=Words((), 0.0)) for found in finished]


def _forbid(scores: Floats, ids: Ints, long_words: NDArray[np.bool_], may_end: bool) -> None:
    """Rule out, in place, marks that are no words, an early end, and the long words and trigrams of the sentence."""
    scores[:, [PAD, UNK]] = -np.inf
    if not may_end:
        scores[:, END] = -np.inf
    row, position = np.nonzero(long_words[ids])
    scores[row, ids[row, position]] = -np.inf
    if ids.shape[1] > 2:
        seen = (ids[:, :-2] == ids[:, -2:-1]) & (ids[:, 1:-1] == ids[:, -1:])
        row, position = np.nonzero(seen)
        scores[row, ids[row, position + 2]] = -np.inf


def _best_per_row(scores: Floats, total: NDArray[np.float64], beam: int) -> _Candidates:
    """The ``beam`` likeliest allowed words of every row; of equals, the smaller id."""
    every = np.arange(len(scores))
    parts = []
    for _ in range(min(beam, scores.shape[1])):
        word = scores.argmax(1)
        parts.append(_Candidates(every, word, total + scores[every, word]))
        scores[every, word] = -np.inf
    joined = _Candidates(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("row", "word", "total")))
    return joined.take(np.isfinite(joined.total))


def _best_per_sentence(candidates: _Candidates, sentence: Ints, beam: int) -> _Candidates:
    """The ``beam`` likeliest candidates of every sentence, sentence by sentence, the likeliest first."""
    of = sentence[candidates.row]
    ordered = np.lexsort((candidates.word, candidates.row, -candidates.total, of))
    _, first, counts = np.unique(of[ordered], return_index=True, return_counts=True)
    rank = np.arange(len(ordered)) - np.repeat(first, counts)
    return candidates.take(ordered[rank < beam])


def _finish(finished: list[list[Words]], rows: _Rows, ended: _Candidates) -> None:
    """File the rows that chose the end mark."""
    for row, total in zip(ended.row, ended.total, strict=True):
        finished[rows.sentence[row]].append(Words(tuple(rows.ids[row].tolist()), float(total)))
