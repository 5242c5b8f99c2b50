"""Greedy decoding on a device: a graph that keeps the state, the words and their scores there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxreport.model.gpu.io_binding import fill
from cxreport.model.manifest import FLOOR, WORD_SEARCH
from cxreport.model.word_limits import Limits, Words
from cxreport.text.vocabulary import END, NO_WORD
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

_LEAST_COLUMNS = 3  # of words, for the graph's windows


def write_greedily(model: Model, topics: Floats, banned: NDArray[np.bool_], limits: Limits) -> list[Words]:
    """Write what `_beam.search` writes with a beam of 1 where no three words in a row may come twice.

    At each step one number per text comes back to the host: its next word. A text that has ended goes on with end
    marks until all have ended.

    Args:
        model: with `WORD_SEARCH` among its ``bound_steps``.
        topics: (N, H).
        banned: (N, V) words that a text may not have.
        limits: lengths, and words that no text has twice.
    """
    rows, found = model.rows_of(WORD_SEARCH, len(topics)), list[Words]()
    for first in range(0, len(topics), rows):
        part = slice(first, first + rows)
        found += _write(model, fill(topics[part], rows), fill(banned[part], rows), limits)
    return found[: len(topics)]


def _write(model: Model, topics: Floats, banned: NDArray[np.bool_], limits: Limits) -> list[Words]:
    """Write as many texts as one call of the graph takes."""
    state = np.zeros_like(topics)
    inputs: dict[str, NDArray[Any]] = {
        "topic": topics,
        "words": np.full((len(topics), max(limits.max_words, _LEAST_COLUMNS)), NO_WORD, np.int64),
        "total": np.zeros(len(topics), np.float32),
        "hidden": state,
        "cell": state,
        "banned": banned,
        "once": limits.once,
        "may_end": np.array([limits.min_words == 0]),
    }
    step, length = model.bound_step(WORD_SEARCH, inputs), 0
    while length < limits.max_words:
        if length == limits.min_words:
            step.put({"may_end": np.array([True])})
        step.run()
        length += 1
        if (step.fetch("best") == END).all():
            break
    written, totals = step.fetch("words_out")[:, -length:], step.fetch("total_out")
    return [_words(ids, total) for ids, total in zip(written.tolist(), totals.tolist(), strict=True)]


def _words(ids: list[int], total: float) -> Words:
    """A row of the graph as a finished text; one that could have no word somewhere is empty."""
    if total <= FLOOR / 2:
        return Words((), 0.0)
    return Words(tuple(ids[: ids.index(END)] if END in ids else ids), total)
