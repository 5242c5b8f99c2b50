"""Consistency of a report with itself: repeats, contradictions, orphans between sections, fragments of sentences.

Each sentence is read by itself, by the rules of a lexicon. A report without a fault need not be right: nothing here
looks at the image.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cxreport.text.lexicon import Lexicon, Status
from cxreport.types import Detail

__all__ = ["Inconsistencies", "Statement", "find_inconsistencies", "is_fragment", "statements"]

_QUALITIES = frozenset({Detail.LEFT, Detail.RIGHT, Detail.UPPER, Detail.LOWER, Detail.MILD, Detail.MARKED})
"""Details that belong to a finding: side, place, degree."""
_PLACES = frozenset({Detail.LEFT, Detail.RIGHT, Detail.UPPER, Detail.LOWER})
_QUALIFIED = re.compile(
    r"\b(?:large|new|other|additional|further|definite|significant|acute|residual|recurrent|overt)\b"
)
"""Words of a denial that leave room for the finding itself ("No large effusion")."""
_FINITE = (
    r"\b(?:is|are|was|were|be|has|have|had|does|do|did|may|might|could|can|cannot|should|would|will|appears?|remains?|shows?"
    r"|demonstrates?|suggests?|represents?|reflects?|seems?|persists?|contains?|measures?|projects?|overl(?:ies|ie)|ends?"
    r"|extends?|lies|lie|indicates?|obscures?|lacks?|terminates?|includes?|reveals?|consists?|resides?|limits|exists?|contributes?)\b"
)
_FRAGMENTS = re.compile(
    rf"^(?:the|this|these|an?|both)\b(?!.*{_FINITE})"  # a subject that nothing is said of
    rf"|^there\b(?! (?:\w+ )?(?:is|are|was|were|has|have|may|might|could|appears?|remains?|seems?)\b)"
    r"|^(?:areas?|evidence|degree|amount|component|presence|absence|resolution|lack)\b(?! (?:of|for)\b)"
    r"|\b(?:a|an|the|and|or|nor|of|with|without|in|to|for|from|no|not|is|are|may|by|at|than|versus|focal|pleural|cardiac)$"
    r"|\b(?:no|a|an|the|of|with|without) (?:is|are|was|were|may|and|or|of)\b"
    r"|\b(?!xxxx )(\w+) \1\b|\b(?:is|are|was|were) (?:is|are|was|were)\b"
)


@dataclass(frozen=True)
class Statement:
    """A finding that a text states, for certain or not, in what it says of it."""

    tag: str
    """Name of the reporting tag."""
    status: Status
    qualities: frozenset[Detail]
    """Sides, place and degree of its sentence."""


@dataclass(frozen=True)
class Inconsistencies:
    """Faults of a report's language; of each fault the sentences that show it."""

    repeats: tuple[tuple[str, str], ...] = ()
    """Sentences of one section that say the same of a tag, or the same normal phrase, without another side or place."""
    contradictions: tuple[tuple[str, str], ...] = ()
    """Sentences that exclude each other, also of different sections."""
    orphans: tuple[str, ...] = ()
    """Impression sentences that state a finding, side, place or degree that the Findings lack."""
    fragments: tuple[str, ...] = ()
    """Sentences without a verb where one was begun, or that break off."""
    comparisons: tuple[str, ...] = ()
    """Sentences that compare with an earlier study."""
    late: tuple[str, ...] = ()
    """Impression sentences that state something more urgent than a finding before them."""


def statements(sentences: Sequence[str], lexicon: Lexicon) -> frozenset[Statement]:
    """Content of a text: the findings that its sentences state, each with certainty, sides, place and degree.

    Denials are no part of it: which normal organs a text lists does not change what it found.

    Args:
        sentences: of one section or several.
        lexicon: rules that read them.
    """
    return frozenset(
        Statement(tag, status, lexicon.details(sentence) & _QUALITIES)
        for sentence in sentences
        for tag, status in lexicon.read_tags(sentence).items()
        if status != "absent"
    )


def find_inconsistencies(findings: Sequence[str], impression: Sequence[str], lexicon: Lexicon) -> Inconsistencies:
    """Look for faults of language in a report that has no earlier study to compare with.

    Args:
        findings: sentences of the Findings.
        impression: sentences of the Impression.
        lexicon: rules that read tags, and tell which statements exclude each other and which are urgent.
    """
    return Inconsistencies(
        repeats=tuple(pair for section in (findings, impression) for pair in _repeats(section, lexicon)),
        contradictions=tuple(_contradictions(tuple(dict.fromkeys((*findings, *impression))), lexicon)),
        orphans=tuple(_orphans(findings, impression, lexicon)) if findings else (),
        fragments=tuple(sentence for sentence in (*findings, *impression) if is_fragment(sentence)),
        comparisons=tuple(s for s in (*findings, *impression) if Detail.PRIOR in lexicon.details(s)),
        late=tuple(_late(impression, lexicon)),
    )


def is_fragment(sentence: str) -> bool:
    """True for a sentence that begins as one and has no verb, breaks off, or stumbles over its own words.

    Noun phrases are none: "No pleural effusion." is how reports are written.
    """
    return _FRAGMENTS.search(sentence.lower().strip(" .;,")) is not None


def _repeats(section: Sequence[str], lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    for first, second in itertools.combinations(section, 2):
        said, again = (_said(sentence, lexicon) for sentence in (first, second))
        if not said & again:
            continue
        places = [lexicon.details(sentence) & _PLACES for sentence in (first, second)]
        if not (places[0] and places[1]) or places[0] & places[1]:
            yield first, second


def _said(sentence: str, lexicon: Lexicon) -> frozenset[tuple[str, bool]]:
    """What a sentence says in so many words: tag, or normal phrase, and whether it is stated."""
    tags = {(tag, status != "absent") for tag, status in lexicon.mentioned_tags(sentence).items()}
    return frozenset(tags | {(f"normal phrase {number}", False) for number in lexicon.normal_phrases(sentence)})


def _contradictions(sentences: Sequence[str], lexicon: Lexicon) -> Iterator[tuple[str, str]]:
    for first, second in itertools.combinations(sentences, 2):
        if _denies(first, second, lexicon) or _denies(second, first, lexicon) or lexicon.exclude(first, second):
            yield first, second


def _denies(denial: str, statement: str, lexicon: Lexicon) -> bool:
    """True if a sentence denies, in so many words and without restriction, what another one states."""
    if _QUALIFIED.search(denial.lower()) or lexicon.details(denial) & _QUALITIES:
        return False
    denied = {tag for tag, status in lexicon.mentioned_tags(denial).items() if status == "absent"}
    return bool(denied & lexicon.affirmed(statement))


def _orphans(findings: Sequence[str], impression: Sequence[str], lexicon: Lexicon) -> Iterator[str]:
    qualities: dict[str, frozenset[Detail]] = {}
    for statement in statements(findings, lexicon):
        qualities[statement.tag] = qualities.get(statement.tag, frozenset()) | statement.qualities
    for sentence in impression:
        stated = statements([sentence], lexicon)
        if any(s.tag not in qualities or not s.qualities <= qualities[s.tag] for s in stated):
            yield sentence


def _late(impression: Sequence[str], lexicon: Lexicon) -> Iterator[str]:
    """Sentences with a tag that comes before one of an earlier sentence in the order of urgency."""
    order = {tag: rank for rank, tag in enumerate(lexicon.urgency)}
    before = -1
    for sentence in impression:
        ranks = [order[tag] for tag in lexicon.affirmed(sentence) if tag in order]
        if ranks:
            if min(ranks) < before:
                yield sentence
            before = max(before, min(ranks))
