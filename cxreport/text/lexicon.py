"""Reads reporting tags off a sentence by rules: mention, negation, uncertainty (after NegEx, Chapman et al. 2001).

Training reads from it what a report says; the report stage checks with it that free sentences keep to the plan. The
rules lie in ``lexicon.toml``.
"""

from __future__ import annotations

import functools
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from cxreport.types import Detail

Status = Literal["present", "uncertain", "absent"]
_NOTHING = re.compile(r"(?!)")
_RANK: dict[Status, int] = {"absent": 0, "uncertain": 1, "present": 2}


@dataclass(frozen=True)
class _Terms:
    """How one tag or class is mentioned."""

    plain: re.Pattern[str]
    hedged: re.Pattern[str] = _NOTHING
    """Mentions that are never more than uncertain."""
    never: re.Pattern[str] = _NOTHING
    """Words that are passed over."""


@dataclass(frozen=True)
class _Normal:
    """A phrase that denies several tags at once."""

    says: re.Pattern[str]
    denies: tuple[str, ...]


@dataclass(frozen=True)
class _Scope:
    """Cues for denial and uncertainty, and what ends their reach; see ``lexicon.toml``."""

    denies_after: re.Pattern[str]
    denies_before: re.Pattern[str]
    pseudo_denials: re.Pattern[str]
    hedges_after: re.Pattern[str]
    hedges_before: re.Pattern[str]
    alternatives: re.Pattern[str]
    breaks: re.Pattern[str]


@dataclass(frozen=True)
class _Rules:
    scope: _Scope
    details: dict[Detail, re.Pattern[str]]
    tags: dict[str, _Terms]
    plain: dict[str, str]
    classes: dict[str, _Terms]
    normal: tuple[_Normal, ...]


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    if not patterns:
        return _NOTHING
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"(?:{p})" for p in patterns) + r")(?![\w-])")


@functools.cache
def _rules() -> _Rules:
    text = resources.files("cxreport.text").joinpath("lexicon.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    return _Rules(
        scope=_Scope(**{name: _any(cues) for name, cues in data["scope"].items()}),
        details={Detail(detail): _any(patterns) for detail, patterns in data["details"].items()},
        tags={tag: _Terms(_any(terms)) for tag, terms in data["tags"].items()},
        plain=data["plain"],
        classes={name: _class_terms(name, own, data["tags"]) for name, own in data["classes"].items()},
        normal=tuple(_Normal(_any(n["says"]), tuple(n["denies"])) for n in data["normal"]),
    )


def _class_terms(name: str, own: dict[str, list[str]], tags: dict[str, list[str]]) -> _Terms:
    shared = [term for tag in own.get("tags", [name]) for term in tags[tag]]
    also, hedged, never = (own.get(key, []) for key in ("also", "hedged", "never"))
    return _Terms(_any([*own.get("says", shared), *also]), _any(hedged), _any(never))


def reporting_tags() -> tuple[str, ...]:
    """Names of the reporting tags in their fixed order."""
    return tuple(_rules().tags)


def plain_sentence(tag: str) -> str:
    """A sentence that states a reporting tag and nothing else."""
    return _rules().plain.get(tag, f"There is {tag.lower()}.")


def split_sentences(text: str) -> list[str]:
    """Sentences of a section, without list numbers; decimals and abbreviations such as ``T12.`` stay together."""
    text = re.sub(r"(?:(?<=^)|(?<=[\s.]))\d{1,2}[.)]\s+(?=\D)", " ", text)
    parts = re.split(r"(?<=[.?!;])\s+|\n+", text)
    return [p.strip(" .;,") for p in parts if re.search(r"[a-z]{2}", p, re.IGNORECASE)]


def read_tags(text: str) -> dict[str, Status]:
    """What a text says of each reporting tag that it mentions or denies.

    Args:
        text: one sentence or several.

    Returns:
        Tag -> ``present``, ``uncertain`` or ``absent``; the most affirmative mention wins.
    """
    return dict(_tags(text))


@functools.lru_cache(maxsize=1 << 12)
def _tags(text: str) -> dict[str, Status]:
    """As `read_tags`, once for each text: drafted reports share most of their sentences."""
    return _read(text, _rules().tags)


def read_classes(text: str) -> dict[str, Status]:
    """What a text says of each of CheXpert's classes that it mentions or denies; as `read_tags`, but for No Finding.

    A class is read by the terms of the tag of the same name and by those that CheXpert's convention adds.
    """
    return _read(text, _rules().classes)


def _read(text: str, vocabulary: Mapping[str, _Terms]) -> dict[str, Status]:
    found: dict[str, Status] = {}
    for sentence in split_sentences(text.lower()):
        for name, status in _read_sentence(sentence, vocabulary):
            if name not in found or _RANK[status] > _RANK[found[name]]:
                found[name] = status
    return found


def _read_sentence(sentence: str, vocabulary: Mapping[str, _Terms]) -> Iterator[tuple[str, Status]]:
    rules = _rules()
    for normal in rules.normal:
        if normal.says.search(sentence):
            yield from ((name, "absent") for name in normal.denies if name in vocabulary)
    neutral = rules.scope.pseudo_denials.sub(_blot, sentence)
    bounds = [0, *(m.start() for m in rules.scope.breaks.finditer(neutral)), len(sentence)]
    for start, end in itertools.pairwise(bounds):
        yield from _read_clause(sentence[start:end], neutral[start:end], vocabulary)


def _read_clause(clause: str, neutral: str, vocabulary: Mapping[str, _Terms]) -> Iterator[tuple[str, Status]]:
    """Mentions of a clause; denials are looked for where pseudo-denials are blotted out."""
    for name, terms in vocabulary.items():
        words = terms.never.sub(_blot, clause)
        for mention in terms.plain.finditer(words):
            yield name, _status(clause, neutral, mention)
        for mention in terms.hedged.finditer(words):
            status = _status(clause, neutral, mention)
            yield name, "uncertain" if status == "present" else status


def _status(clause: str, neutral: str, mention: re.Match[str]) -> Status:
    scope = _rules().scope
    start, end = mention.span()
    if scope.denies_after.search(neutral, 0, end) or scope.denies_before.search(neutral, end):
        return "absent"
    if scope.hedges_after.search(clause, 0, end) or scope.hedges_before.search(clause, end):
        return "uncertain"
    if _joined(scope.alternatives, clause[:start], clause[end:]):
        return "uncertain"
    return "present"


def _joined(alternatives: re.Pattern[str], before: str, after: str) -> bool:
    """Whether an alternative stands next to a mention: up to three words before it, or two after it."""
    return any(
        alternatives.search(" ".join(words))
        for words in (before.rpartition(",")[2].split()[-4:], after.partition(",")[0].split()[:3])
    )


def _blot(match: re.Match[str]) -> str:
    return "~" * len(match.group())


def affirmed(text: str) -> frozenset[str]:
    """Reporting tags that a text states, for certain or not."""
    return frozenset(tag for tag, status in read_tags(text).items() if status != "absent")


def affirmed_in(sections: Iterable[str]) -> frozenset[str]:
    """Reporting tags that one of the sections of a report states."""
    return frozenset().union(*map(affirmed, sections))


def details(sentence: str) -> frozenset[Detail]:
    """How a sentence tells its tags: sides (both for "bilateral"), place, degree, comparison, and whether it hedges."""
    found = {detail for detail, pattern in _rules().details.items() if pattern.search(sentence.lower())}
    hedged = "uncertain" in read_tags(sentence).values()
    return frozenset(found | {Detail.UNCERTAIN} if hedged else found)
