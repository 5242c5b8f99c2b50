"""Texts that a search writes word by word: the limits that it keeps to, and its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats


@dataclass(frozen=True, eq=False)
class TextLimits:
    """Limits of a text: a sentence, or a whole report of a captioning architecture."""

    beam: int
    """Width of the search; 1 is greedy."""
    min_words: int
    """Words before which a text may not end."""
    max_words: int
    """Words at which it is cut."""
    once: NDArray[np.bool_]
    """(V,) words that no text has twice."""
    repeats: int = 3
    """Length in words of the phrases that no text has twice."""


@dataclass(frozen=True)
class WrittenText:
    """Result of a search: a text in word ids."""

    ids: tuple[int, ...]
    log_probability: float
    """Sum over the words and the end mark."""
    attention: Floats | None = None
    """(W, P) over the patches, per word; None where the network does not attend."""

    @property
    def score(self) -> float:
        """Log-probability per word, the end mark counted."""
        return self.log_probability / (len(self.ids) + 1)
