"""Lexicon: rules that read reporting tags off sentences: mention, denial, uncertainty (NegEx, Chapman et al. 2001).

Training reads with it what a report states; drafting checks with it that sentences keep to the plan. The rules are
``lexicon.toml``: the package's for training and for labels, a bundle's own copy for what that bundle writes.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxreport.errors import BundleError
from cxreport.text.mentions import NormalPhrase, Scope, Status, Terms, any_of, read_sentence, values_of
from cxreport.text.sentences import split_sentences
from cxreport.types import Detail

__all__ = ["LEXICON_FILE", "Lexicon", "Status", "packaged", "split_sentences"]

LEXICON_FILE = "lexicon.toml"
_RANKS: dict[Status, int] = {"absent": 0, "uncertain": 1, "present": 2}
_COPULA = re.compile(r"\b(?:is|are)\b")
_REMEMBERED = 1 << 12
"""Texts whose tags are kept: drafted reports share most of their sentences."""


@dataclass(frozen=True)
class _Exclusion:
    """Phrase that no report says beside certain statements."""

    says: re.Pattern[str]
    stated: frozenset[str]
    """Tags."""
    beside: re.Pattern[str]
    """Words of a statement."""


@dataclass(frozen=True)
class _Rules:
    """Content of a ``lexicon.toml`` as regular expressions."""

    scope: Scope
    details: dict[Detail, re.Pattern[str]]
    tags: dict[str, Terms]
    plain_sentences: dict[str, str]
    possible_sentences: dict[str, tuple[str, ...]]
    kin: tuple[tuple[str, str], ...]
    normal: tuple[NormalPhrase, ...]
    nih_findings: dict[str, tuple[str, ...]]
    no_finding_tags: frozenset[str]


class Lexicon:
    """The rules of one ``lexicon.toml``, compiled when they are first needed, so that a command without texts is quick.

    Attributes:
        toml: content of the file.
    """

    def __init__(self, toml: bytes, source: str = LEXICON_FILE) -> None:
        """Take the content of a file; errors name it by ``source``."""
        self.toml = toml
        self._source = source
        self._remembered_tags = functools.lru_cache(_REMEMBERED)(lambda text: self._read(text, self._rules.tags))
        self._remembered_mentions = functools.lru_cache(_REMEMBERED)(
            lambda text: self._read(text, self._rules.tags, normal=())
        )
        self._remembered_details = functools.lru_cache(_REMEMBERED)(self._read_details)

    def __reduce__(self) -> tuple[type[Lexicon], tuple[bytes, str]]:
        """Pickle the file alone, so that manifests go to other processes."""
        return Lexicon, (self.toml, self._source)

    @functools.cached_property
    def _tables(self) -> dict[str, Any]:
        import tomllib  # nothing else of a run that reads no text needs it

        with self._refused():
            return tomllib.loads(self.toml.decode())

    @functools.cached_property
    def _rules(self) -> _Rules:
        with self._refused():
            return _compiled(self._tables)

    @functools.cached_property
    def _classes(self) -> dict[str, Terms]:
        """CheXpert's classes, which drafting does not read."""
        with self._refused():
            tags, classes = self._tables["tags"], self._tables["classes"]
            return {name: _class_terms(name, rules, tags) for name, rules in classes.items()}

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        """Say of whatever goes wrong in the body that the file is no lexicon."""
        try:
            yield
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

    @property
    def urgency(self) -> tuple[str, ...]:
        """Reporting tags in the order in which an Impression tells them; the package's in a lexicon without one."""
        tables = self._tables if "urgency" in self._tables else packaged()._tables
        with self._refused():
            return tuple(tables.get("urgency", {"tags": ()})["tags"])

    @functools.cached_property
    def _exclusions(self) -> tuple[_Exclusion, ...]:
        """Phrases of this lexicon, or of the package's for one from before there was this table."""
        if "exclusive" not in self._tables and self.toml != packaged().toml:
            return packaged()._exclusions
        with self._refused():
            return _exclusions(self._tables.get("exclusive", ()))

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
        return self._read(text, self._classes)

    def mentioned_tags(self, sentence: str) -> dict[str, Status]:
        """Status of each reporting tag that a sentence mentions by name; as `read_tags`, but without normal phrases."""
        return dict(self._remembered_mentions(sentence))

    def normal_phrases(self, sentence: str) -> frozenset[int]:
        """Numbers of the normal phrases that a sentence says: phrases that deny several tags at once."""
        lower = sentence.lower()
        return frozenset(i for i, phrase in enumerate(self._rules.normal) if phrase.says.search(lower))

    def exclude(self, first: str, second: str) -> bool:
        """True for two sentences of which one says what the other one's statement excludes."""
        return any(
            exclusion.says.search(phrase.lower())
            and (stated & exclusion.stated or (stated and exclusion.beside.search(statement.lower())))
            for phrase, statement in ((first, second), (second, first))
            if (stated := self.affirmed(statement)) and "otherwise" not in phrase.lower()
            for exclusion in self._exclusions
        )

    def affirmed(self, text: str) -> frozenset[str]:
        """Reporting tags that a text states, for certain or not."""
        return frozenset(tag for tag, status in self._remembered_tags(text).items() if status != "absent")

    def affirmed_in(self, sections: Iterable[str]) -> frozenset[str]:
        """Reporting tags that one of the sections of a report states."""
        return frozenset().union(*map(self.affirmed, sections))

    def details(self, sentence: str) -> frozenset[Detail]:
        """Details of a sentence: sides (both for "bilateral"), place, degree, comparison, and whether it hedges."""
        return self._remembered_details(sentence)

    def _read_details(self, sentence: str) -> frozenset[Detail]:
        matching = {detail for detail, cue in self._rules.details.items() if cue.search(sentence.lower())}
        hedged = "uncertain" in self._remembered_tags(sentence).values()
        return frozenset(matching | {Detail.UNCERTAIN} if hedged else matching)

    def _read(
        self, text: str, vocabulary: Mapping[str, Terms], normal: Sequence[NormalPhrase] | None = None
    ) -> dict[str, Status]:
        """Statuses by name; ``normal`` takes the place of the lexicon's normal phrases."""
        phrases = self._rules.normal if normal is None else normal
        statuses: dict[str, Status] = {}
        for sentence in split_sentences(text):
            for name, status in read_sentence(self._rules.scope, phrases, sentence.lower(), vocabulary):
                if name not in statuses or _RANKS[status] > _RANKS[statuses[name]]:
                    statuses[name] = status
        return statuses


@functools.cache
def packaged() -> Lexicon:
    """The lexicon that cxreport brings: what training reads, what `label` reads, and that of bundles without one."""
    return Lexicon(Path(__file__).with_name(LEXICON_FILE).read_bytes())


def _compiled(tables: Mapping[str, Any]) -> _Rules:
    return _Rules(
        scope=_scope(tables["scope"], tables.get("words", {})),
        details={Detail(detail): any_of(cues) for detail, cues in tables["details"].items()},
        tags={tag: Terms(any_of(terms)) for tag, terms in tables["tags"].items()},
        plain_sentences=tables["plain"],
        possible_sentences={tag: tuple(sentences) for tag, sentences in tables.get("possible", {}).items()},
        kin=tuple((a, b) for a, b in tables.get("kin", {}).get("tags", ())),
        normal=tuple(NormalPhrase(any_of(n["says"]), tuple(n["denies"])) for n in tables["normal"]),
        nih_findings={tag: tuple(findings) for tag, findings in tables["nih_findings"].items()},
        no_finding_tags=frozenset(tables["no_finding"]["tags"]),
    )


def _exclusions(rows: Sequence[dict[str, list[str]]]) -> tuple[_Exclusion, ...]:
    return tuple(
        _Exclusion(any_of(row["says"]), frozenset(row["stated"]), any_of(row.get("beside", []))) for row in rows
    )


def _scope(cues: dict[str, list[str]], words: dict[str, list[str]]) -> Scope:
    """Cues, with each name in angle brackets replaced by its words."""
    named = {
        f"<{name}>": any_word for name, patterns in words.items() if (any_word := "(?:" + "|".join(patterns) + ")")
    }
    compiled = {}
    for kind, patterns in cues.items():
        written = [re.sub(r"<[a-z ]+>", lambda name: named[name[0]], pattern) for pattern in patterns]
        compiled[kind] = values_of(written) if kind.endswith("_values") else any_of(written)
    return Scope(**compiled)


def _class_terms(name: str, rules: dict[str, Any], tags: dict[str, list[str]]) -> Terms:
    """Terms of one of CheXpert's classes: those of tags, or its own, and what its convention adds or excepts."""
    shared = [term for tag in rules.get("tags", [name]) for term in tags[tag]]
    also, hedged, never = (rules.get(key, []) for key in ("also", "hedged", "never"))
    return Terms(
        any_of([*rules.get("says", shared), *also]),
        any_of(hedged),
        any_of(never),
        rules.get("certain_among_alternatives", False),
    )
