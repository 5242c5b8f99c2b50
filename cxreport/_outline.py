"""The outline of a report: which section and which planned topic comes next, for decoding and for training."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cxreport.types import Section

LIKELY = 0.5


class Outline:
    """How far the report of one study has come.

    In each section the planned topics come first; while some remain, the networks' stop and section outputs are not
    asked.
    """

    def __init__(
        self, told: Sequence[int], denied: Sequence[int], impression: Sequence[int], max_sentences: int
    ) -> None:
        """Start a report.

        Args:
            told: reporting tags that the Findings tell, in this order.
            denied: those that they deny afterwards.
            impression: those that the Impression tells.
            max_sentences: sentences of a section after which no free topic is added.
        """
        self.section = Section.FINDINGS
        self.done = False
        self._planned = deque([*((t, 1.0) for t in told), *((t, -1.0) for t in denied)])
        self._impression = deque((t, 1.0) for t in impression)
        self._max_sentences = max_sentences
        self._written = 0

    def next_planned(self) -> tuple[int, float] | None:
        """Tag that the next sentence is planned to tell (1) or to deny (-1); None for a free topic."""
        return self._planned[0] if self._planned else None

    def advance(self, stop: float, section_next: float) -> bool:
        """Go on to the next sentence, the next section or the end.

        Args:
            stop: probability that the report ends here.
            section_next: probability that the Impression follows.

        Returns:
            whether the two decided anything.
        """
        self._written += 1
        if self._planned:
            self._planned.popleft()
        if self._planned:
            return False
        full = self._written >= self._max_sentences
        if self.section is Section.IMPRESSION:
            self.done = full or stop > LIKELY
        elif full or section_next > LIKELY or stop > LIKELY:
            self.section, self._planned, self._written = Section.IMPRESSION, self._impression, 0
        return not full
