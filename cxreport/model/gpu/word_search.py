"""Greedy decoding on a device: a graph that keeps the state, the words and their scores there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxreport.model.graphs import fill
from cxreport.model.manifest import FLOOR, WORD_SEARCH
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.text.vocabulary import END, NO_WORD
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

_MIN_COLUMNS = 3
"""Columns of words that the graph's windows need."""


def try_out(model: Model) -> None:
    """Write a text from a topic of zeros.

    Raises:
        Exception: of any kind, where the device or its driver cannot run the graph.
    """
    sizes, lengths = model.manifest.sizes, model.manifest.decoding
    limits = TextLimits(
        beam=1, min_words=lengths.min_words, max_words=lengths.max_words, once=model.manifest.long_words
    )
    write_greedily(model, np.zeros((1, sizes.hidden), np.float32), np.zeros((1, sizes.words), np.bool_), limits)


def write_greedily(model: Model, topics: Floats, banned: NDArray[np.bool_], limits: TextLimits) -> list[WrittenText]:
    """Write what `beam.search` writes with a beam of 1 where no three words in a row may come twice.

    At each step one number per text comes back to the host: its next word. A text that has ended goes on with end
    marks until all have ended.

    Args:
        model: with `WORD_SEARCH` among its ``bound_steps``.
        topics: (N, H).
        banned: (N, V) words that a text may not have.
        limits: lengths, and words that no text has twice.
    """
    call_rows = model.rows_of(WORD_SEARCH, len(topics))
    texts: list[WrittenText] = []
    for start in range(0, len(topics), call_rows):
        rows = slice(start, start + call_rows)
        texts += _write(model, fill(topics[rows], call_rows), fill(banned[rows], call_rows), limits)
    return texts[: len(topics)]


def _write(model: Model, topics: Floats, banned: NDArray[np.bool_], limits: TextLimits) -> list[WrittenText]:
    """Write as many texts as one call of the graph takes."""
    state = np.zeros_like(topics)
    inputs: dict[str, NDArray[Any]] = {
        "topic": topics,
        "words": np.full((len(topics), max(limits.max_words, _MIN_COLUMNS)), NO_WORD, np.int64),
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
    words, totals = step.fetch("words_out")[:, -length:], step.fetch("total_out")
    return [_text(ids, total) for ids, total in zip(words.tolist(), totals.tolist(), strict=True)]


def _text(ids: list[int], total: float) -> WrittenText:
    """A row of the graph as a finished text; one that could have no word somewhere is empty."""
    if total <= FLOOR / 2:
        return WrittenText((), 0.0)
    return WrittenText(tuple(ids[: ids.index(END)] if END in ids else ids), total)
