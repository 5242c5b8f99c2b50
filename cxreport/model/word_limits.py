"""Texts that a word search writes: what they may be, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats


@dataclass(frozen=True, eq=False)
class Limits:
    """What a text may be."""

    beam: int
    min_words: int
    """Words before which a text may not end."""
    max_words: int
    """Words at which it is cut."""
    once: NDArray[np.bool_]
    """(V,) words that no text has twice."""
    repeats: int = 3
    """No text has the same so many words in a row twice."""


@dataclass(frozen=True)
class Words:
    """A finished text."""

    ids: tuple[int, ...]
    log_probability: float
    """Sum over the words and the end mark."""
    attention: Floats | None = None
    """(W, P) over the patches, per word; None where the writer does not attend."""

    @property
    def score(self) -> float:
        """Log-probability per word, the end mark counted."""
        return self.log_probability / (len(self.ids) + 1)
