"""Scorers of the next word: one protocol, and the word networks of the architectures under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

Ints = NDArray[np.int64]


class NextWord(NamedTuple):
    """Scores of the next word of N texts, and the state of the network after the last one."""

    log_probabilities: Floats
    """(N, V)"""
    attention: Floats | None
    """(N, P) over the patches; None where the network does not attend."""
    hidden: Floats
    """(N, H)"""
    cell: Floats
    """(N, H)"""


class WordScorer(Protocol):
    """Network that writes a number of texts word by word."""

    def __len__(self) -> int:
        """Count the texts."""

    def score(self, texts: Ints, words: Ints, hidden: Floats, cell: Floats) -> NextWord:
        """Score the next word of N unfinished texts.

        Args:
            texts: (N,) index of the text that each row continues; a text may have several rows.
            words: (N,) last word of each row; `NO_WORD` at the start.
            hidden: (N, H) state; zeros at the start.
            cell: (N, H) likewise.
        """


@dataclass(frozen=True, eq=False)
class TopicScorer:
    """One sentence per topic, by the word LSTM of Jing et al. 2018."""

    model: Model
    topics: Floats
    """(texts, H)"""

    def __len__(self) -> int:
        return len(self.topics)

    def score(self, texts: Ints, words: Ints, hidden: Floats, cell: Floats) -> NextWord:
        """Score the next word of N unfinished sentences."""
        log_probabilities, hidden, cell = self.model.word_step(self.topics[texts], words, hidden, cell)
        return NextWord(log_probabilities, attention=None, hidden=hidden, cell=cell)


@dataclass(frozen=True, eq=False)
class CaptionScorer:
    """One report per image, as a single sequence.

    The LSTM starts from the image (Vinyals et al. 2015), or attends to its patches at every word (Xu et al. 2015).
    """

    model: Model
    patches: Floats
    """(texts, P, D)"""

    def __len__(self) -> int:
        return len(self.patches)

    def score(self, texts: Ints, words: Ints, hidden: Floats, cell: Floats) -> NextWord:
        """Score the next word of N unfinished reports."""
        return NextWord(*self.model.caption_step(self.patches[texts], words, hidden, cell))
