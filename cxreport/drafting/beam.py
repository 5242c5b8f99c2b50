"""Beam search over many texts at once; a width of 1 is greedy decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.word_steps import Ints, Writer
from cxreport.model.word_limits import Limits, Words
from cxreport.text.vocabulary import END, NO_WORD, PAD, UNK
from cxreport.types import Floats


@dataclass(frozen=True)
class _Rows:
    """Unfinished texts, one row each: the rows of a text adjacent, the likeliest first."""

    text: Ints
    """(N,) which of the writer's texts."""
    ids: Ints
    """(N, t) words so far."""
    total: NDArray[np.float64]
    """(N,) sum of their log-probabilities."""
    hidden: Floats
    """(N, H)"""
    cell: Floats
    attention: Floats | None = None
    """(N, t, P)"""


@dataclass(frozen=True)
class _Candidates:
    """Continuations of rows by one word, C of them."""

    row: Ints
    word: Ints
    total: NDArray[np.float64]

    def take(self, chosen: NDArray[np.bool_] | Ints) -> _Candidates:
        """Keep some of them."""
        return _Candidates(self.row[chosen], self.word[chosen], self.total[chosen])


def search(writer: Writer, hidden: int, banned: NDArray[np.bool_], limits: Limits) -> list[Words]:
    """Decode all texts of a writer.

    Each step continues a text's unfinished rows by their ``beam`` likeliest words altogether; rows that end leave the
    batch, and the beam narrows by them. The best of a text has the greatest log-probability per word. Nothing in a
    text depends on the others, and equal scores are decided by the order of rows and word ids.

    Args:
        writer: of N texts.
        hidden: length of its state.
        banned: (N, V) words that a text may not have.
        limits: beam, lengths and repetitions.
    """
    finished: list[list[Words]] = [[] for _ in range(len(writer))]
    zeros = np.zeros((len(writer), hidden), np.float32)
    rows = _Rows(np.arange(len(writer)), np.empty((len(writer), 0), np.int64), np.zeros(len(writer)), zeros, zeros)
    for length in range(limits.max_words):
        if not len(rows.text):
            break
        last = rows.ids[:, -1] if length else np.full(len(rows.text), NO_WORD, np.int64)
        step = writer.step(rows.text, last, rows.hidden, rows.cell)
        scores = step.log_probabilities
        scores[banned[rows.text]] = -np.inf
        _forbid(scores, rows.ids, limits, may_end=length >= limits.min_words)
        best = _best_per_text(_best_per_row(scores, rows.total, limits.beam), rows.text, limits.beam)
        ends = best.word == END
        _finish(finished, rows, best.take(ends))
        rows = _continued(rows, best.take(~ends), step.hidden, step.cell, step.attention)
    for row in range(len(rows.text)):
        finished[rows.text[row]].append(_words(rows, row, rows.total[row]))
    return [max(found, key=lambda words: words.score, default=Words((), 0.0)) for found in finished]


def _continued(rows: _Rows, best: _Candidates, hidden: Floats, cell: Floats, attention: Floats | None) -> _Rows:
    """The rows a word longer."""
    ids, seen = np.concatenate([rows.ids[best.row], best.word[:, None]], axis=1), None
    if attention is not None:
        now = attention[best.row][:, None]
        seen = now if rows.attention is None else np.concatenate([rows.attention[best.row], now], axis=1)
    return _Rows(rows.text[best.row], ids, best.total, hidden[best.row], cell[best.row], seen)


def _words(rows: _Rows, row: int, total: float) -> Words:
    """A row as a finished text."""
    seen = None if rows.attention is None else rows.attention[row]
    return Words(tuple(rows.ids[row].tolist()), float(total), seen)


def _forbid(scores: Floats, ids: Ints, limits: Limits, may_end: bool) -> None:
    """Rule out, in place, marks that are no words, an early end, and what the text may not repeat."""
    scores[:, [PAD, UNK]] = -np.inf
    if not may_end:
        scores[:, END] = -np.inf
    row, position = np.nonzero(limits.once[ids])
    scores[row, ids[row, position]] = -np.inf
    before = limits.repeats - 1
    if ids.shape[1] > before:
        windows = np.lib.stride_tricks.sliding_window_view(ids, before, axis=1)
        seen = (windows[:, :-1] == windows[:, -1:]).all(2)
        row, position = np.nonzero(seen)
        scores[row, ids[row, position + before]] = -np.inf


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


def _best_per_text(candidates: _Candidates, text: Ints, beam: int) -> _Candidates:
    """The ``beam`` likeliest candidates of every text, text by text, the likeliest first."""
    of = text[candidates.row]
    ordered = np.lexsort((candidates.word, candidates.row, -candidates.total, of))
    _, first, counts = np.unique(of[ordered], return_index=True, return_counts=True)
    rank = np.arange(len(ordered)) - np.repeat(first, counts)
    return candidates.take(ordered[rank < beam])


def _finish(finished: list[list[Words]], rows: _Rows, ended: _Candidates) -> None:
    """File the rows that chose the end mark."""
    for row, total in zip(ended.row, ended.total, strict=True):
        finished[rows.text[row]].append(_words(rows, row, total))
