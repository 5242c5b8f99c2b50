"""Plans: what the sentences of a report are to say, in reporting tags, and how surely."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


class Detail(enum.StrEnum):
    """Attribute that a sentence gives of its finding; one that is not planned may not be named: nothing is made up."""

    LEFT = "left"
    RIGHT = "right"
    UPPER = "upper"
    LOWER = "lower"
    MILD = "mild"
    MARKED = "marked"
    UNCERTAIN = "uncertain"
    """The sentence hedges: how a finding is worded that is `Certainty.POSSIBLE`."""
    PRIOR = "prior"
    """Comparison with an earlier examination, which the model never sees."""


class Certainty(enum.StrEnum):
    """How surely a sentence speaks of its finding."""

    STATED = "stated"
    """Flatly: "There is a pleural effusion."."""
    POSSIBLE = "possible"
    """With a hedge: "There may be a pleural effusion."."""
    ABSENT = "absent"
    """Denied: "No pleural effusion."."""


@dataclass(frozen=True)
class PlannedTopic:
    """Content of one sentence: a finding that it tells, or those that it denies."""

    tags: tuple[int, ...]
    """Indices of reporting tags: one that is told, or one or several that are denied together."""
    certainty: Certainty = Certainty.STATED
    details: frozenset[Detail] = frozenset()
    """Attributes of the finding, `Detail.UNCERTAIN` where it is possible."""

    @property
    def tag(self) -> int | None:
        """Index of the tag that is told; None for a denial."""
        return None if self.certainty is Certainty.ABSENT else self.tags[0]

    @property
    def sign(self) -> float:
        """Value of its tags in the decoder's plan: 1 tells, -1 denies."""
        return -1.0 if self.certainty is Certainty.ABSENT else 1.0


def _no_tags() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Plan:
    """Content of a report in reporting tags (R of them); without arguments, that of a bundle without such tags."""

    probabilities: NDArray[np.float32] = field(default_factory=_no_tags)
    """(R,) calibrated probability of each reporting tag."""
    unusual: NDArray[np.float32] = field(default_factory=_no_tags)
    """(R,) standard score of its evidence among typical images, clipped to -3 ... 3; 0 where that is unknown."""
    findings: tuple[PlannedTopic, ...] = ()
    """Of the Findings: first what is told, most probable first, then what is denied."""
    impression: tuple[PlannedTopic, ...] = ()
    """Of the Impression."""
    deniable: frozenset[int] = frozenset()
    """Indices of all tags that a sentence may deny, planned or not: a remark that all is normal denies several."""
    unknown: frozenset[int] = frozenset()
    """Indices of tags that the evidence says nothing of: their probability is no more than a placeholder."""
    withheld: tuple[int, ...] = ()
    """Indices of tags that are as likely as not under their own name and still not told: the reader is warned."""

    @functools.cached_property
    def tags(self) -> tuple[int, ...]:
        """Indices of the tags that are told, surely or not, most probable first."""
        return tuple(topic.tag for topic in self.findings if topic.tag is not None)

    @property
    def denied(self) -> tuple[int, ...]:
        """Indices of the tags that the Findings are planned to deny."""
        return tuple(tag for topic in self.findings if topic.tag is None for tag in topic.tags)

    def topic(self, tag: int) -> PlannedTopic:
        """The topic of the Findings that tells a tag.

        Raises:
            KeyError: the tag is not told.
        """
        for topic in self.findings:
            if topic.tag == tag:
                return topic
        raise KeyError(tag)

    @property
    def positive(self) -> NDArray[np.float32]:
        """(R,) probabilities of the tags that are told, 0 for the others."""
        probabilities = np.zeros_like(self.probabilities)
        probabilities[list(self.tags)] = self.probabilities[list(self.tags)]
        return probabilities
