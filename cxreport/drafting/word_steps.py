"""What writes word by word: one protocol, and what the word networks of the architectures make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

Ints = NDArray[np.int64]


class Step(NamedTuple):
    """A word further."""

    log_probabilities: Floats
    """(N, V) of the next word."""
    attention: Floats | None
    """(N, P) over the patches while choosing it; None where the network does not attend."""
    hidden: Floats
    """(N, H)"""
    cell: Floats


class Writer(Protocol):
    """Texts that a network writes word by word."""

    def __len__(self) -> int:
        """How many texts are to be written."""

    def step(self, texts: Ints, last: Ints, hidden: Floats, cell: Floats) -> Step:
        """Score the next word of N unfinished texts.

        Args:
            texts: (N,) which of the texts each row continues; a text may have several rows.
            last: (N,) the word before; `manifest.NO_WORD` at the start.
            hidden: (N, H) state; zeros at the start.
            cell: (N, H) likewise.
        """


@dataclass(frozen=True, eq=False)
class TopicWriter:
    """A sentence per topic, by the word LSTM of Jing et al. 2018."""

    model: Model
    topics: Floats
    """(texts, H)"""

    def __len__(self) -> int:
        return len(self.topics)

    def step(self, texts: Ints, last: Ints, hidden: Floats, cell: Floats) -> Step:
        """As in `Writer`."""
        scores, hidden, cell = self.model.word_step(self.topics[texts], last, hidden, cell)
        return Step(scores, None, hidden, cell)


@dataclass(frozen=True, eq=False)
class CaptionWriter:
    """A report per image, as one sequence.

    The LSTM starts from the image (Vinyals et al. 2015), or attends to its patches at every word (Xu et al. 2015).
    """

    model: Model
    patches: Floats
    """(texts, P, D)"""

    def __len__(self) -> int:
        return len(self.patches)

    def step(self, texts: Ints, last: Ints, hidden: Floats, cell: Floats) -> Step:
        """As in `Writer`."""
        return Step(*self.model.caption_step(self.patches[texts], last, hidden, cell))
