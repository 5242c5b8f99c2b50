"""Sentence pool: what radiologists write for each thing that a topic may be planned to say."""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.text.detokenise import sentence_text
from cxreport.text.labeler import CLASSES, label
from cxreport.text.lexicon import Status, packaged
from cxreport.text.scoring_conventions import R2GEN_FINDINGS
from cxreport.text.tokens import tokenise
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Certainty, Detail, Floats

_ORDER = 4
_LEAST_COUNT = 2  # radiologists' sentences with the same words
_MOST = 25  # sentences for the same content
_PLAINER = 0.5  # weight of a plainer form against a sentence as it was written
_CERTAINTY: dict[Status, Certainty] = {
    "present": Certainty.STATED,
    "uncertain": Certainty.POSSIBLE,
    "absent": Certainty.ABSENT,
}
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|may|can|cannot|could|seen|noted|appears?|demonstrates?|shows?)\b")
_NEGATION = re.compile(r"(?:no|normal|clear|negative|well-expanded)\b")
_COPULA = re.compile(r"\b(?:is|are)\b")
_JOINT = re.compile(r",|\b(?:and|which|that|with|without)\b")
_LEANING = re.compile(r"\b(?:otherwise|specifically|also|however|again|remaind\w*|remaining|other|these|this|it)\b")
"""Words that lean on a sentence before, which a report that is put together may not have."""

_BEYOND = re.compile(r"\b(?:due to|secondary to|known|patients?|clearing|which|not|normal|clear|without|study)\b")
"""Words with which a sentence that tells a tag says more: a cause, a course, or that nothing else is there."""
_PLAIN_ONLY = frozenset({"Support Devices"})
"""Tags that are told in the lexicon's words alone: radiologists' sentences name one device of many."""

Words = tuple[str, ...]
Content = tuple[Certainty, tuple[str, ...]]
"""How surely a sentence speaks, and the names of all tags that it speaks of, in alphabetical order."""


@dataclass(frozen=True, eq=False)
class Pool:
    """C sentences that a section may be put together from, and their G n-grams."""

    sentences: tuple[Words, ...]
    details: tuple[frozenset[Detail], ...]
    """Of each sentence."""
    by_content: dict[Content, tuple[int, ...]]
    """Sentences that say something and nothing else, the most frequent first."""
    grams: dict[Words, int]
    has: NDArray[np.bool_]
    """(C, G)"""
    lengths: Floats
    """(C,) words, the full stop counted."""

    def saying(self, names: Sequence[str], certainty: Certainty, details: frozenset[Detail]) -> tuple[int, ...]:
        """Sentences that say what is wanted, with all of the details if there are such, and with no others.

        Args:
            names: of the tags.
            certainty: how surely.
            details: that a sentence may give.
        """
        candidates = self.by_content[certainty, tuple(sorted(names))]
        fitting = [c for c in candidates if self.details[c] <= details]
        return tuple(c for c in fitting if self.details[c] == details) or tuple(fitting)

    def occurrences(self, texts: Iterable[str]) -> Floats:
        """(N, G) 1 for the n-grams that each text has."""
        rows = []
        for text in texts:
            row = np.zeros(len(self.grams), np.float32)
            words = (".", *R2GEN_FINDINGS.words(text)[: R2GEN_FINDINGS.max_words])
            row[[self.grams[g] for g in _grams(words) if g in self.grams]] = 1
            rows.append(row)
        return np.stack(rows)


@functools.cache
def content(text: str) -> Content | None:
    """What a sentence says, where it is one thing: a tag that it tells, or tags that it denies; None otherwise."""
    statuses = packaged().read_tags(text)
    kinds = set(statuses.values())
    if len(kinds) != 1 or (len(statuses) > 1 and kinds != {"absent"}):
        return None
    return _CERTAINTY[kinds.pop()], tuple(sorted(statuses))


def denial_sets(data: DecoderData, impression: bool, least: int) -> tuple[tuple[str, ...], ...]:
    """Sets of tags that sentences of a section deny together, the most frequent first.

    Args:
        data: train reports.
        impression: whether it is the Impression.
        least: sentences that deny a set.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for (certainty, names), sentences in _counted(data, impression).items():
        if certainty is Certainty.ABSENT:
            counts[names] = sum(n for words, n in sentences.items() if _usable(words, n, certainty, impression))
    frequent = sorted((names for names, n in counts.items() if n >= least), key=lambda names: (-counts[names], names))
    return tuple(frequent)


def make_pool(data: DecoderData, impression: bool) -> Pool:
    """Collect the sentences of a section that say one thing, and the lexicon's own for tags without any."""
    vocabulary, lexicon = set(data.vocabulary), packaged()
    by_content: dict[Content, tuple[int, ...]] = {}
    sentences: list[Words] = []
    counted = _counted(data, impression)
    for tag in data.tags:
        for certainty, texts in (
            (Certainty.STATED, (lexicon.plain_sentence(tag),)),
            (Certainty.POSSIBLE, lexicon.possible_sentences(tag)),
        ):
            own = {tuple(tokenise(text)): float(_LEAST_COUNT) for text in texts}
            if tag in _PLAIN_ONLY:
                counted[certainty, (tag,)] = Counter()
            known = counted.setdefault((certainty, (tag,)), Counter())
            if certainty is Certainty.POSSIBLE or not any(
                set(w) <= vocabulary
                and _usable(w, n, certainty, impression)
                and _agreed(w, tag)
                and not lexicon.details(_text(w))
                for w, n in known.items()
            ):
                known.update(own)
    for what, forms in counted.items():
        usable = [w for w, n in forms.most_common() if set(w) <= vocabulary and _usable(w, n, what[0], impression)]
        chosen = [w for w in usable if what[0] is Certainty.ABSENT or _agreed(w, what[1][0])][:_MOST]
        by_content[what] = tuple(range(len(sentences), len(sentences) + len(chosen)))
        sentences += chosen
    spoken = [(".", *R2GEN_FINDINGS.words(_text(words))) for words in sentences]
    grams = {g: i for i, g in enumerate(dict.fromkeys(g for words in spoken for g in _grams(words)))}
    has = np.zeros((len(sentences), len(grams)), bool)
    for row, words in zip(has, spoken, strict=True):
        row[[grams[g] for g in _grams(words)]] = True
    return Pool(
        sentences=tuple(sentences),
        details=tuple(lexicon.details(_text(words)) for words in sentences),
        by_content=by_content,
        grams=grams,
        has=has,
        lengths=np.array([len(words) - 1 for words in spoken], np.float32),
    )


def _counted(data: DecoderData, impression: bool) -> dict[Content, Counter[Words]]:
    """Content -> the sentences that say it, and the plainer forms of others, with the number of times each counts."""
    counted: defaultdict[Content, Counter[Words]] = defaultdict(Counter)
    for sentence in (s for t in data.train for s in t.sentences if s.impression == impression):
        for words, weight in ((sentence.words, 1.0), *((form, _PLAINER) for form, _ in sentence.plainer)):
            what = content(_text(words))
            if what is not None:
                counted[what][words] += weight  # type: ignore[assignment]
    return counted


def _usable(words: Words, count: float, certainty: Certainty, impression: bool) -> bool:
    """True for a sentence that was written more than once, stands alone, and is one where radiologists write one.

    Findings are told in sentences with a verb; an Impression, and a denial that begins with one, may do without.
    """
    text = " ".join(words)
    details = packaged().details(_text(words))
    if count < _LEAST_COUNT or _LEANING.search(text) or Detail.PRIOR in details or _run_on(text):
        return False
    if certainty is Certainty.ABSENT:
        return not details and bool(_NEGATION.match(text) or _VERB.search(text))
    return not _BEYOND.search(text) and (impression or bool(_VERB.search(text)))


def _run_on(text: str) -> bool:
    """True for two sentences in one, with nothing between them."""
    return len(_COPULA.findall(text)) > 1 and not _JOINT.search(text)


def _agreed(words: Words, tag: str) -> bool:
    """True for a sentence that tells a tag by the labeler too."""
    return tag not in CLASSES or bool(label(_text(words))[tag])


def _grams(words: Words) -> Iterable[Words]:
    return (words[i : i + n] for n in range(1, _ORDER + 1) for i in range(len(words) - n + 1))


def _text(words: Words) -> str:
    return sentence_text(words, range(len(words)))
