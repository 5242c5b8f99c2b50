"""Beam search over many texts at once; a width of 1 is greedy decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.word_scores import Ints, NextWord, WordScorer
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.text.vocabulary import END, NO_WORD, PAD, UNK
from cxreport.types import Floats


@dataclass(frozen=True)
class _Hypotheses:
    """N unfinished texts, one row each: those of the same text adjacent, the likeliest first."""

    text: Ints
    """(N,) index of the scorer's text."""
    ids: Ints
    """(N, t) words so far."""
    total: NDArray[np.float64]
    """(N,) sum of their log-probabilities."""
    hidden: Floats
    """(N, H)"""
    cell: Floats
    """(N, H)"""
    attention: Floats | None = None
    """(N, t, P)"""

    @property
    def last(self) -> Ints:
        """(N,) last word."""
        return self.ids[:, -1] if self.ids.shape[1] else np.full(len(self.ids), NO_WORD, np.int64)

    def finished(self, row: int, total: float) -> WrittenText:
        """A row as a finished text."""
        attention = None if self.attention is None else self.attention[row]
        return WrittenText(tuple(self.ids[row].tolist()), float(total), attention)


@dataclass(frozen=True)
class _Extensions:
    """C continuations of hypotheses by one word."""

    row: Ints
    """(C,) index of the hypothesis."""
    word: Ints
    """(C,)"""
    total: NDArray[np.float64]
    """(C,) sum of the log-probabilities, the word's included."""

    def take(self, selection: NDArray[np.bool_] | Ints) -> _Extensions:
        """Select by a mask or by indices."""
        return _Extensions(self.row[selection], self.word[selection], self.total[selection])


def search(scorer: WordScorer, state_size: int, banned: NDArray[np.bool_], limits: TextLimits) -> list[WrittenText]:
    """Decode all texts of a scorer: the best hypothesis of each, as `hypotheses` finds them.

    Args:
        scorer: of N texts.
        state_size: length of its hidden state.
        banned: (N, V) words that a text may not have.
        limits: beam, lengths and repetitions.
    """
    found = hypotheses(scorer, state_size, banned, limits)
    return [texts[0] if texts else WrittenText((), 0.0) for texts in found]


def hypotheses(
    scorer: WordScorer, state_size: int, banned: NDArray[np.bool_], limits: TextLimits
) -> list[list[WrittenText]]:
    """Find up to ``beam`` hypotheses of every text of a scorer, the best first.

    Each step continues a text's hypotheses by their ``beam`` likeliest words altogether; those that end leave the
    batch, and the beam narrows by them. The best of a text has the greatest log-probability per word. Nothing in a
    text depends on the others, and equal scores are decided by the order of rows and word ids.

    Args:
        scorer: of N texts.
        state_size: length of its hidden state.
        banned: (N, V) words that a text may not have.
        limits: beam, lengths and repetitions.
    """
    finished: list[list[WrittenText]] = [[] for _ in range(len(scorer))]
    rows = _start(len(scorer), state_size)
    for length in range(limits.max_words):
        if not len(rows.text):
            break
        step = scorer.score(rows.text, rows.last, rows.hidden, rows.cell)
        scores = step.log_probabilities
        scores[banned[rows.text]] = -np.inf
        _forbid(scores, rows.ids, limits, may_end=length >= limits.min_words)
        best = _best_per_text(_best_per_row(scores, rows.total, limits.beam), rows.text, limits.beam)
        ends, unfinished = best.take(best.word == END), best.take(best.word != END)
        _file(finished, rows, ends.row, ends.total)
        rows = _extended(rows, unfinished, step)
    _file(finished, rows, np.arange(len(rows.text)), rows.total)
    return [sorted(texts, key=lambda text: -text.score) for texts in finished]


def _start(texts: int, state_size: int) -> _Hypotheses:
    """A hypothesis without words for each text."""
    state = np.zeros((texts, state_size), np.float32)
    ids = np.empty((texts, 0), np.int64)
    return _Hypotheses(text=np.arange(texts), ids=ids, total=np.zeros(texts), hidden=state, cell=state)


def _extended(rows: _Hypotheses, best: _Extensions, step: NextWord) -> _Hypotheses:
    """The hypotheses, one word longer."""
    attention = None
    if step.attention is not None:
        attention = step.attention[best.row][:, None]
        if rows.attention is not None:
            attention = np.concatenate([rows.attention[best.row], attention], axis=1)
    return _Hypotheses(
        text=rows.text[best.row],
        ids=np.concatenate([rows.ids[best.row], best.word[:, None]], axis=1),
        total=best.total,
        hidden=step.hidden[best.row],
        cell=step.cell[best.row],
        attention=attention,
    )


def _forbid(scores: Floats, ids: Ints, limits: TextLimits, may_end: bool) -> None:
    """Rule out, in place, marks that are no words, an early end, and the words that would repeat something."""
    scores[:, [PAD, UNK]] = -np.inf
    if not may_end:
        scores[:, END] = -np.inf
    row, position = np.nonzero(limits.once[ids])
    scores[row, ids[row, position]] = -np.inf
    context = limits.repeats - 1
    if ids.shape[1] > context:
        windows = np.lib.stride_tricks.sliding_window_view(ids, context, axis=1)
        row, position = np.nonzero((windows[:, :-1] == windows[:, -1:]).all(2))
        scores[row, ids[row, position + context]] = -np.inf


def _best_per_row(scores: Floats, total: NDArray[np.float64], beam: int) -> _Extensions:
    """The ``beam`` likeliest allowed words of every hypothesis; of equals, the smaller id."""
    rows = np.arange(len(scores))
    words, totals = [], []
    for _ in range(min(beam, scores.shape[1])):
        words.append(scores.argmax(1))
        totals.append(total + scores[rows, words[-1]])
        scores[rows, words[-1]] = -np.inf
    extensions = _Extensions(np.tile(rows, len(words)), np.concatenate(words), np.concatenate(totals))
    return extensions.take(np.isfinite(extensions.total))


def _best_per_text(extensions: _Extensions, text: Ints, beam: int) -> _Extensions:
    """The ``beam`` likeliest extensions of every text, text by text, the likeliest first."""
    if beam == 1:
        return extensions  # one row a text, and one word a row
    texts = text[extensions.row]
    order = np.lexsort((extensions.word, extensions.row, -extensions.total, texts))
    _, first, counts = np.unique(texts[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)
    return extensions.take(order[rank < beam])


def _file(finished: list[list[WrittenText]], rows: _Hypotheses, ends: Ints, totals: NDArray[np.float64]) -> None:
    """Put the hypotheses that end, by their indices, among the finished texts."""
    for row, total in zip(ends, totals, strict=True):
        finished[rows.text[row]].append(rows.finished(row, total))
