"""Sentences of a drafted report, with their evidence: what each states, how probable that is, and where it looks.

Records, panels, pages, maps and labels read the same values; none of them reads the text again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cxreport.types import Detail, Floats, Section


class Assertion(enum.StrEnum):
    """Status of a finding in a text, in the words of the i2b2/VA challenge (Uzuner et al. 2011)."""

    PRESENT = "present"
    POSSIBLE = "possible"
    ABSENT = "absent"

    @property
    def affirms(self) -> bool:
        """True where the text states the finding, for certain or not."""
        return self is not Assertion.ABSENT


class Band(enum.StrEnum):
    """Band of a probability: what it allows a report to say of its tag. `drafting.plan.band` has the limits."""

    PRESENT = "present"
    """Stated flatly."""
    POSSIBLE = "possible"
    """Told with a hedge; bundles without limits of certainty have no such band."""
    SILENT = "silent"
    """Neither told nor denied; bundles without limits of certainty have no such band."""
    ABSENT = "absent"
    """May be denied."""
    NONE = "none"
    """The evidence does not speak of the tag."""


class Origin(enum.StrEnum):
    """Origin of a sentence."""

    PLANNED = "planned"
    """Written by the decoder for a tag that the plan has it state or deny."""
    FREE = "free"
    """Written by the decoder without such a tag."""
    ADDED = "added"
    """A plain sentence for a planned tag that no sentence of the section stated."""


@dataclass(frozen=True)
class Statement:
    """Reporting tag that a sentence states or denies, and the evidence for it."""

    tag: str
    assertion: Assertion
    details: tuple[Detail, ...] = ()
    """Side, place and degree that the sentence gives of it, in the order of `Detail`."""
    probability: float | None = None
    """Calibrated probability that the tag is present, 0 to 1, for denials too; None without evidence of the tag."""
    band: Band = Band.NONE

    @property
    def text(self) -> str:
        """Tag, assertion, details and probability, for a person."""
        details = f" ({', '.join(self.details)})" if self.details else ""
        figure = "no probability" if self.probability is None else f"probability {self.probability:.2f}"
        return f"{self.tag} {self.assertion}{details}, {figure}"


@dataclass(frozen=True)
class WordMap:
    """Map of a word over the patches of the image."""

    word: str
    """As it stands in the text, punctuation included."""
    weights: Floats
    """(rows, columns) of the patch grid, with a sum of 1."""


@dataclass(frozen=True)
class SentenceMap:
    """Map of a sentence over the patches of the image."""

    weights: Floats
    """(rows, columns) of the patch grid, the top left patch first, with a sum of 1."""
    words: tuple[WordMap, ...]
    """In the order of the text; joined by spaces they are the text."""
    decoder_attention: Floats | None = None
    """(rows, columns) attention of the decoder over the encoder's patches; None for a sentence it did not write."""


@dataclass(frozen=True)
class Sentence:
    """Sentence of a report, with its evidence."""

    section: Section
    text: str
    origin: Origin = Origin.FREE
    topic: str | None = None
    """Reporting tag that it was planned or added for; None for a free one."""
    statements: tuple[Statement, ...] = ()
    """Its tags, in the lexicon's order; none for a sentence that speaks of none, such as "Two views were taken."."""
    map: SentenceMap | None = None
    """Where it looks; None where that was not asked for, or without an image."""

    @property
    def affirmed(self) -> tuple[Statement, ...]:
        """Statements of what is present or possible."""
        return tuple(statement for statement in self.statements if statement.assertion.affirms)
