"""Reads reporting tags off a sentence by rules: mention, negation, uncertainty (after NegEx, Chapman et al. 2001).

Training reads from it what a report says; the report stage checks with it that free sentences keep to the plan. The
rules lie in ``lexicon.toml``.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from cxreport.types import Detail

Status = Literal["present", "uncertain", "absent"]
_RANK: dict[Status, int] = {"absent": 0, "uncertain": 1, "present": 2}


@dataclass(frozen=True)
class _Normal:
    says: re.Pattern[str]
    denies: tuple[str, ...]


@dataclass(frozen=True)
class _Rules:
    tags: dict[str, re.Pattern[str]]
    normal: tuple[_Normal, ...]
    before: re.Pattern[str]
    after: re.Pattern[str]
    pseudo: re.Pattern[str]
    breaks: re.Pattern[str]
    uncertain: re.Pattern[str]
    details: dict[Detail, re.Pattern[str]]


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"(?:{p})" for p in patterns) + r")(?![\w-])")


@functools.cache
def _rules() -> _Rules:
    text = resources.files("cxreport").joinpath("lexicon.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    scope = data["scope"]
    return _Rules(
        tags={tag: _any(patterns) for tag, patterns in data["tags"].items()},
        normal=tuple(_Normal(_any(n["says"]), tuple(n["denies"])) for n in data["normal"]),
        details={Detail(detail): _any(patterns) for detail, patterns in data["details"].items()},
        **{k: _any(scope[k]) for k in ("before", "after", "pseudo", "breaks", "uncertain")},
    )


def reporting_tags() -> tuple[str, ...]:
    """Names of the reporting tags in their fixed order."""
    return tuple(_rules().tags)


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
    found: dict[str, Status] = {}
    for sentence in split_sentences(text.lower()):
        for tag, status in _read_sentence(sentence).items():
            if tag not in found or _RANK[status] > _RANK[found[tag]]:
                found[tag] = status
    return found


def _read_sentence(sentence: str) -> dict[str, Status]:
    rules = _rules()
    found: dict[str, Status] = {}
    for normal in rules.normal:
        if normal.says.search(sentence):
            for tag in normal.denies:
                found[tag] = "absent"
    neutral = rules.pseudo.sub(lambda m: "~" * len(m.group()), sentence)
    start = 0
    for end in [m.start() for m in rules.breaks.finditer(neutral)] + [len(neutral)]:
        for tag, status in _read_clause(neutral[start:end], rules):
            if _RANK[status] >= _RANK[found.get(tag, "absent")]:
                found[tag] = status
        start = end
    hedged = rules.uncertain.search(sentence) is not None
    return {t: "uncertain" if s == "present" and hedged else s for t, s in found.items()}


def _read_clause(clause: str, rules: _Rules) -> Iterable[tuple[str, Status]]:
    cue = rules.before.search(clause)
    denied_from = cue.end() if cue else len(clause) + 1
    for tag, pattern in rules.tags.items():
        statuses: list[Status] = []
        for mention in pattern.finditer(clause):
            denied = mention.end() > denied_from or rules.after.search(clause, mention.end()) is not None
            statuses.append("absent" if denied else "present")
        if statuses:
            yield tag, max(statuses, key=_RANK.__getitem__)


def affirmed(text: str) -> frozenset[str]:
    """Reporting tags that a text states, for certain or not."""
    return frozenset(tag for tag, status in read_tags(text).items() if status != "absent")


def details(sentence: str) -> frozenset[Detail]:
    """How a sentence tells its tags: sides (both for "bilateral"), place, degree, comparison, and whether it hedges."""
    found = {detail for detail, pattern in _rules().details.items() if pattern.search(sentence.lower())}
    hedged = "uncertain" in read_tags(sentence).values()
    return frozenset(found | {Detail.UNCERTAIN} if hedged else found)


def contradicts(sentence: str, tags: Sequence[str]) -> bool:
    """Whether a sentence denies a planned tag or states one that is not planned."""
    planned = set(tags)
    return any((status == "absent") == (tag in planned) for tag, status in read_tags(sentence).items())
