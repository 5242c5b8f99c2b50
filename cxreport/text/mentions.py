"""Mentions of a sentence and their status: denied, uncertain or stated (NegEx, Chapman et al. 2001)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["NEVER_MATCHES", "NormalPhrase", "Scope", "Status", "Terms", "any_of", "read_sentence", "values_of"]

Status = Literal["present", "uncertain", "absent"]
NEVER_MATCHES = re.compile(r"(?!)")
_QUESTION_BEFORE = re.compile(r"(?:^|(?<=[\s(]))\?(?=\s*\w)")
_HEADING_OF_DENIAL = re.compile(r"[^:,;]{0,30}:\s*(?:no|without|negative for)\s")
"""The rest of a heading, and a denial under it ("Fracture: No acute fracture")."""
_QUESTION_AFTER = re.compile(r"\?(?!\s*\w)")


@dataclass(frozen=True)
class Terms:
    """Terms by which a tag or class is mentioned."""

    plain: re.Pattern[str]
    hedged: re.Pattern[str] = NEVER_MATCHES
    """Mentions that are never more than uncertain."""
    never: re.Pattern[str] = NEVER_MATCHES
    """Words that are passed over."""
    certain_among_alternatives: bool = False
    """Whether a mention with an alternative beside it is still stated: an infiltrate or atelectasis is an opacity."""


@dataclass(frozen=True)
class NormalPhrase:
    """Phrase that denies several tags at once."""

    says: re.Pattern[str]
    denies: tuple[str, ...]


@dataclass(frozen=True)
class Scope:
    """Cues for denial and uncertainty, and what ends their reach; see ``lexicon.toml``.

    Those with a default are newer than the first bundles, whose lexicons lack them.
    """

    denies_after: re.Pattern[str]
    denies_before: re.Pattern[str]
    pseudo_denials: re.Pattern[str]
    hedges_after: re.Pattern[str]
    hedges_before: re.Pattern[str]
    alternatives: re.Pattern[str]
    breaks: re.Pattern[str]
    denial_ends: re.Pattern[str] = NEVER_MATCHES
    list_ends: re.Pattern[str] = NEVER_MATCHES
    unsaid_after: re.Pattern[str] = NEVER_MATCHES
    unsaid_before: re.Pattern[str] = NEVER_MATCHES
    other_things: re.Pattern[str] = NEVER_MATCHES
    denied_values: re.Pattern[str] = NEVER_MATCHES
    uncertain_values: re.Pattern[str] = NEVER_MATCHES


def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression that matches any of several between word boundaries; without any it matches nothing."""
    if not patterns:
        return NEVER_MATCHES
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"(?:{p})" for p in patterns) + r")(?![\w-])")


def values_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression that matches any of several values of a filled-in form, from the mark before them to their end."""
    values = "|".join(f"(?:{p})" for p in patterns)
    return (
        re.compile(rf"(?:\s*[:=|?\u2013\u2014]\s*|\s-+\s*)(?:{values})\s*(?=$|[,;.)])") if patterns else NEVER_MATCHES
    )


def read_sentence(
    scope: Scope, normal: Sequence[NormalPhrase], sentence: str, vocabulary: Mapping[str, Terms]
) -> Iterator[tuple[str, Status]]:
    """Mentions and denials of a sentence in lower case.

    Args:
        scope: cues.
        normal: phrases that deny several tags.
        sentence: to read.
        vocabulary: tag or class -> its terms.
    """
    for phrase in normal:
        if phrase.says.search(sentence):
            yield from ((name, "absent") for name in phrase.denies if name in vocabulary)
    neutral = scope.pseudo_denials.sub(_blot, sentence)
    bounds = [0, *(m.start() for m in scope.breaks.finditer(neutral)), len(sentence)]
    for start, end in itertools.pairwise(bounds):
        yield from _read_clause(scope, sentence[start:end], neutral[start:end], vocabulary)


def _read_clause(
    scope: Scope, clause: str, neutral: str, vocabulary: Mapping[str, Terms]
) -> Iterator[tuple[str, Status]]:
    """Mentions of a clause; denials are looked for where pseudo-denials are blotted out."""
    findings = scope.other_things.sub(_blot, clause)
    neutral = scope.denied_values.sub(_blot, neutral)
    for name, terms in vocabulary.items():
        words = _blotted(terms.never, findings)
        for mention in terms.plain.finditer(_blotted(terms.hedged, words)):
            if status := _status(scope, clause, neutral, mention, terms.certain_among_alternatives):
                yield name, status
        for mention in terms.hedged.finditer(words):
            if status := _status(scope, clause, neutral, mention):
                yield name, "uncertain" if status == "present" else status


def _status(scope: Scope, clause: str, neutral: str, mention: re.Match[str], certain: bool = False) -> Status | None:
    """Status of a mention by the cues around it; None where nothing is said of it."""
    start, end = mention.span()
    if _reached(scope, scope.unsaid_after, clause, mention) or scope.unsaid_before.search(clause, end):
        return None
    if _valued(scope.denied_values, clause, end) or _HEADING_OF_DENIAL.match(neutral, end):
        return "absent"
    if _reached(scope, scope.denies_after, neutral, mention) or scope.denies_before.search(neutral, end):
        return "absent"
    if scope.hedges_after.search(clause, 0, end) or scope.hedges_before.search(clause, end):
        return "uncertain"
    if _questioned(clause, start, end):
        return "uncertain"
    if _valued(scope.uncertain_values, clause, end):
        return "uncertain"
    if not certain and _joined(scope.alternatives, clause[:start], clause[end:]):
        return "uncertain"
    return "present"


def _reached(scope: Scope, cues: re.Pattern[str], clause: str, mention: re.Match[str]) -> bool:
    """True if a cue stands before the end of a mention, and nothing between them ends its reach."""
    before = list(cues.finditer(clause, 0, mention.end()))
    if not before:
        return False
    ends = [match.start() for match in scope.denial_ends.finditer(clause)]
    ends += [match.end() for match in scope.list_ends.finditer(clause)]
    return before[-1].end() > max((end for end in ends if end <= mention.start()), default=0)


def _questioned(clause: str, start: int, end: int) -> bool:
    """True if a question mark stands before a mention, or behind it and not within brackets that open after it."""
    mark = _QUESTION_AFTER.search(clause, end)
    asked = mark is not None and "(" not in clause[end : mark.start()]
    return asked or any(mark.start() < start for mark in _QUESTION_BEFORE.finditer(clause))


def _valued(values: re.Pattern[str], clause: str, end: int) -> bool:
    """True if the first mark of a form after a mention has one of the values behind it."""
    value = values.search(clause, end)
    return value is not None and not re.search(r"[:=|?,;\u2013\u2014]", clause[end : value.start()])


def _joined(alternatives: re.Pattern[str], start: str, end: str) -> bool:
    """True if an alternative stands next to a mention: up to three words before it, or two after it.

    Args:
        alternatives: "or", "versus" and the like.
        start: of the clause, up to the mention.
        end: of the clause, from the mention on.
    """
    return any(
        alternatives.search(" ".join(words))
        for words in (start.rpartition(",")[2].split()[-4:], end.partition(",")[0].split()[:3])
    )


def _blotted(pattern: re.Pattern[str], text: str) -> str:
    """A text with what matches blotted out; for most terms nothing does, and looking would cost most of reading."""
    return text if pattern is NEVER_MATCHES else pattern.sub(_blot, text)


def _blot(match: re.Match[str]) -> str:
    return "~" * len(match.group())
