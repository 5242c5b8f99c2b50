"""Lexicon: rules that read reporting tags off sentences: mention, denial, uncertainty (NegEx, Chapman et al. 2001).

Training reads with it what a report states; drafting checks with it that sentences keep to the plan. The rules are
``lexicon.toml``: the package's for training and for labels, a bundle's own copy for what that bundle writes.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxreport.errors import BundleError
from cxreport.types import Detail

__all__ = ["LEXICON_FILE", "Lexicon", "Status", "packaged", "split_sentences"]

LEXICON_FILE = "lexicon.toml"
Status = Literal["present", "uncertain", "absent"]
_NEVER_MATCHES = re.compile(r"(?!)")
_RANKS: dict[Status, int] = {"absent": 0, "uncertain": 1, "present": 2}
_COPULA = re.compile(r"\b(?:is|are)\b")
_REMEMBERED = 1 << 12
"""Texts whose tags are kept: drafted reports share most of their sentences."""


@dataclass(frozen=True)
class _Terms:
    """Terms by which a tag or class is mentioned."""

    plain: re.Pattern[str]
    hedged: re.Pattern[str] = _NEVER_MATCHES
    """Mentions that are never more than uncertain."""
    never: re.Pattern[str] = _NEVER_MATCHES
    """Words that are passed over."""


@dataclass(frozen=True)
class _NormalPhrase:
    """Phrase that denies several tags at once."""

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
    """Content of a ``lexicon.toml`` as regular expressions."""

    scope: _Scope
    details: dict[Detail, re.Pattern[str]]
    tags: dict[str, _Terms]
    plain_sentences: dict[str, str]
    possible_sentences: dict[str, tuple[str, ...]]
    urgency: tuple[str, ...]
    kin: tuple[tuple[str, str], ...]
    classes: dict[str, _Terms]
    normal: tuple[_NormalPhrase, ...]
    nih_findings: dict[str, tuple[str, ...]]
    no_finding_tags: frozenset[str]


class Lexicon:
    """The rules of one ``lexicon.toml``, compiled when a text is first read, so that a command without texts is quick.

    Attributes:
        toml: content of the file.
    """

    def __init__(self, toml: bytes, source: str = LEXICON_FILE) -> None:
        """Take the content of a file; errors name it by ``source``."""
        self.toml = toml
        self._source = source
        self._remembered_tags = functools.lru_cache(_REMEMBERED)(lambda text: self._read(text, self._rules.tags))

    def __reduce__(self) -> tuple[type[Lexicon], tuple[bytes, str]]:
        """Pickle the file alone, so that manifests go to other processes."""
        return Lexicon, (self.toml, self._source)

    @functools.cached_property
    def _rules(self) -> _Rules:
        try:
            return _parse(self.toml.decode())
        except UnicodeDecodeError as error:  # its text would quote the whole file
            raise BundleError(f"{self._source}: not a lexicon (not UTF-8).") from error
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError, re.error) as error:
            raise BundleError(f"{self._source}: not a lexicon ({error!r}).") from error

    @property
    def reporting_tags(self) -> tuple[str, ...]:
        """Names of the reporting tags in their fixed order.

        Raises:
            BundleError: like every method that needs the rules, where the file holds none.
        """
        return tuple(self._rules.tags)

    @property
    def nih_findings(self) -> dict[str, tuple[str, ...]]:
        """Reporting tag -> findings of NIH ChestX-ray14 that speak for it; without the tags that have none."""
        return self._rules.nih_findings

    @property
    def no_finding_tags(self) -> frozenset[str]:
        """Reporting tags that are no abnormality: a text with no others still says No Finding."""
        return self._rules.no_finding_tags

    def plain_sentence(self, tag: str) -> str:
        """A sentence that states a reporting tag and nothing else."""
        return self._rules.plain_sentences.get(tag, f"There is {tag.lower()}.")

    def possible_sentences(self, tag: str) -> tuple[str, ...]:
        """Sentences that tell a reporting tag as possible and nothing else, the plainest first."""
        if tag in self._rules.possible_sentences:
            return self._rules.possible_sentences[tag]
        made = (_COPULA.sub("may be", self.plain_sentence(tag), count=1), f"Possible {tag.lower()}.")
        return (next((text for text in made if self.read_tags(text) == {tag: "uncertain"}), made[0]),)

    @property
    def urgency(self) -> tuple[str, ...]:
        """Reporting tags in the order in which an Impression tells them, the most urgent first; without the others."""
        return self._rules.urgency

    @property
    def kin(self) -> tuple[tuple[str, str], ...]:
        """Pairs of reporting tags each of which seems contradicted where the other is denied."""
        return self._rules.kin

    def read_tags(self, text: str) -> dict[str, Status]:
        """Status of each reporting tag that a text mentions or denies.

        Args:
            text: one sentence or several.

        Returns:
            Tag -> ``present``, ``uncertain`` or ``absent``; the most affirmative mention wins.
        """
        return dict(self._remembered_tags(text))

    def read_classes(self, text: str) -> dict[str, Status]:
        """Status of each of CheXpert's classes that a text mentions or denies; as `read_tags`, but for No Finding.

        A class is read by the terms of the tag of the same name and by those that CheXpert's convention adds.
        """
        return self._read(text, self._rules.classes)

    def affirmed(self, text: str) -> frozenset[str]:
        """Reporting tags that a text states, for certain or not."""
        return frozenset(tag for tag, status in self._remembered_tags(text).items() if status != "absent")

    def affirmed_in(self, sections: Iterable[str]) -> frozenset[str]:
        """Reporting tags that one of the sections of a report states."""
        return frozenset().union(*map(self.affirmed, sections))

    def details(self, sentence: str) -> frozenset[Detail]:
        """Details of a sentence: sides (both for "bilateral"), place, degree, comparison, and whether it hedges."""
        matching = {detail for detail, cue in self._rules.details.items() if cue.search(sentence.lower())}
        hedged = "uncertain" in self._remembered_tags(sentence).values()
        return frozenset(matching | {Detail.UNCERTAIN} if hedged else matching)

    def _read(self, text: str, vocabulary: Mapping[str, _Terms]) -> dict[str, Status]:
        statuses: dict[str, Status] = {}
        for sentence in split_sentences(text.lower()):
            for name, status in _read_sentence(self._rules, sentence, vocabulary):
                if name not in statuses or _RANKS[status] > _RANKS[statuses[name]]:
                    statuses[name] = status
        return statuses


@functools.cache
def packaged() -> Lexicon:
    """The lexicon that cxreport brings: what training reads, what `label` reads, and that of bundles without one."""
    return Lexicon(Path(__file__).with_name(LEXICON_FILE).read_bytes())


def split_sentences(text: str) -> list[str]:
    """Sentences of a section, without list numbers; decimals and abbreviations such as ``T12.`` stay together."""
    text = re.sub(r"(?:(?<=^)|(?<=[\s.]))\d{1,2}[.)]\s+(?=\D)", " ", text)
    sentences = re.split(r"(?<=[.?!;])\s+|\n+", text)
    return [s.strip(" .;,") for s in sentences if re.search(r"[a-z]{2}", s, re.IGNORECASE)]


def _parse(toml: str) -> _Rules:
    import tomllib  # nothing else of a run that reads no text needs it

    tables: dict[str, Any] = tomllib.loads(toml)
    return _Rules(
        scope=_Scope(**{name: _any_of(cues) for name, cues in tables["scope"].items()}),
        details={Detail(detail): _any_of(cues) for detail, cues in tables["details"].items()},
        tags={tag: _Terms(_any_of(terms)) for tag, terms in tables["tags"].items()},
        plain_sentences=tables["plain"],
        possible_sentences={tag: tuple(sentences) for tag, sentences in tables.get("possible", {}).items()},
        urgency=tuple(tables.get("urgency", {}).get("tags", ())),
        kin=tuple((a, b) for a, b in tables.get("kin", {}).get("tags", ())),
        classes={name: _class_terms(name, rules, tables["tags"]) for name, rules in tables["classes"].items()},
        normal=tuple(_NormalPhrase(_any_of(n["says"]), tuple(n["denies"])) for n in tables["normal"]),
        nih_findings={tag: tuple(findings) for tag, findings in tables["nih_findings"].items()},
        no_finding_tags=frozenset(tables["no_finding"]["tags"]),
    )


def _class_terms(name: str, rules: dict[str, list[str]], tags: dict[str, list[str]]) -> _Terms:
    """Terms of one of CheXpert's classes: those of tags, or its own, and what its convention adds or excepts."""
    shared = [term for tag in rules.get("tags", [name]) for term in tags[tag]]
    also, hedged, never = (rules.get(key, []) for key in ("also", "hedged", "never"))
    return _Terms(_any_of([*rules.get("says", shared), *also]), _any_of(hedged), _any_of(never))


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression that matches any of several between word boundaries; without any it matches nothing."""
    if not patterns:
        return _NEVER_MATCHES
    return re.compile(r"(?<![\w-])(?:" + "|".join(f"(?:{p})" for p in patterns) + r")(?![\w-])")


def _read_sentence(rules: _Rules, sentence: str, vocabulary: Mapping[str, _Terms]) -> Iterator[tuple[str, Status]]:
    """Mentions and denials of a sentence in lower case."""
    for phrase in rules.normal:
        if phrase.says.search(sentence):
            yield from ((name, "absent") for name in phrase.denies if name in vocabulary)
    neutral = rules.scope.pseudo_denials.sub(_blot, sentence)
    bounds = [0, *(m.start() for m in rules.scope.breaks.finditer(neutral)), len(sentence)]
    for start, end in itertools.pairwise(bounds):
        yield from _read_clause(rules.scope, sentence[start:end], neutral[start:end], vocabulary)


def _read_clause(
    scope: _Scope, clause: str, neutral: str, vocabulary: Mapping[str, _Terms]
) -> Iterator[tuple[str, Status]]:
    """Mentions of a clause; denials are looked for where pseudo-denials are blotted out."""
    for name, terms in vocabulary.items():
        words = terms.never.sub(_blot, clause)
        for mention in terms.plain.finditer(words):
            yield name, _status(scope, clause, neutral, mention)
        for mention in terms.hedged.finditer(words):
            status = _status(scope, clause, neutral, mention)
            yield name, "uncertain" if status == "present" else status


def _status(scope: _Scope, clause: str, neutral: str, mention: re.Match[str]) -> Status:
    """Status of a mention by the cues around it."""
    start, end = mention.span()
    if scope.denies_after.search(neutral, 0, end) or scope.denies_before.search(neutral, end):
        return "absent"
    if scope.hedges_after.search(clause, 0, end) or scope.hedges_before.search(clause, end):
        return "uncertain"
    if _joined(scope.alternatives, clause[:start], clause[end:]):
        return "uncertain"
    return "present"


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


def _blot(match: re.Match[str]) -> str:
    return "~" * len(match.group())
