"""Report text for the decoder: tokens, vocabulary, and the planned sentences of each section."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.text.labeler import CLASSES, label
from cxreport.text.tokens import tokenise
from cxreport.text.vocabulary import END, SPECIAL_WORDS, UNK
from cxreport.train.data.variants import plainer
from cxreport.types import Detail, Plan

_MEASURE = re.compile(r"\b\d+(?:\.\d+)?(?: ?(?:x|by) ?\d+(?:\.\d+)?)* ?-?(?:mm|cm)s?\b ?", re.IGNORECASE)
_DEIDENTIFIED = re.compile(r"x{3,}")


@dataclass(frozen=True)
class PlannedSentence:
    """Sentence to write: its words and the reporting tag that it is planned for."""

    words: tuple[str, ...]
    impression: bool
    tag: str | None
    """None for a free sentence."""
    denied: tuple[str, ...] = ()
    """Tags that a free sentence of the Findings denies; its topic can be planned to deny them."""
    details: frozenset[Detail] = frozenset()
    """Attributes of the tag, as laterality and degree."""
    plainer: tuple[tuple[tuple[str, ...], frozenset[Detail]], ...] = ()
    """The words without some of the details, and the details left."""
    planned: frozenset[Detail] | None = None
    """Attributes that its topic was planned with, where the words need not have all of them; None for ``details``."""


@dataclass(frozen=True)
class TargetReport:
    """Sentences of a report as the decoder learns to write them."""

    uid: int
    tags: frozenset[str]
    """Reporting tags that the text affirms, in either section."""
    sentences: tuple[PlannedSentence, ...]
    """Findings then Impression; within each the planned ones first."""
    stated: frozenset[str] = frozenset()
    """As ``tags``, but by CheXpert's convention where a tag is one of its classes, as reports are measured."""


@dataclass(frozen=True, eq=False)
class ConsensusReport:
    """Report to be learned as inference plans it."""

    index: int
    """Of the study's own report among the train reports; the images of that one go with this one too."""
    plan: Plan
    sentences: tuple[PlannedSentence, ...]
    """In the order of decoding: of each section what is told, then what is denied, then the free ones."""


def target_report(report: OpeniReport, plan: bool, max_words: int) -> TargetReport | None:
    """Read a report's tags and lay its sentences out for the decoder; None without a usable sentence.

    Sentences with de-identification marks (``XXXX``) are left out: without the missing word they are not English. So
    are numbers, which no tag tells: sizes are cut, other sentences with numbers left out.

    Args:
        report: the report.
        plan: plan the sentences that affirm a tag; otherwise all are free, in their order.
        max_words: longer sentences are left out.
    """
    sections = (report.findings, report.impression)
    sentences = [s for i, text in enumerate(sections) for s in _section(text, bool(i), plan, max_words)]
    if not sentences:
        return None
    tags = lexicon.packaged().affirmed_in(sections)
    labels = label(" ".join(sections))
    chexpert_tags = {
        tag for tag in lexicon.packaged().reporting_tags if (labels[tag] if tag in CLASSES else tag in tags)
    }
    return TargetReport(report.uid, tags, tuple(sentences), frozenset(chexpert_tags))


def _section(text: str, impression: bool, plan: bool, max_words: int) -> list[PlannedSentence]:
    usable = [
        s
        for s in (_MEASURE.sub("", s) for s in lexicon.split_sentences(text))
        if not _DEIDENTIFIED.search(s.lower()) and not re.search(r"\d", s) and 1 < len(tokenise(s)) <= max_words
    ]
    if not plan:
        return [PlannedSentence(tuple(tokenise(s)), impression, None) for s in usable]
    affirmed = [(s, lexicon.packaged().affirmed(s)) for s in usable]
    best: dict[str, tuple[str, frozenset[str]]] = {}
    for sentence, tags in affirmed:  # a tag's sentence is the one that tells the fewest other tags
        for tag in tags:
            if tag not in best or len(tags) < len(best[tag][1]):
                best[tag] = (sentence, tags)
    planned = [_sentence(best[t][0], impression, t) for t in sorted(best)]
    free = [
        _sentence(s, impression, None, () if impression else tuple(sorted(lexicon.packaged().read_tags(s))))
        for s, tags in affirmed
        if not tags
    ]
    return planned + list(dict.fromkeys(free))


def _sentence(text: str, impression: bool, tag: str | None = None, denied: tuple[str, ...] = ()) -> PlannedSentence:
    words = tuple(tokenise(text))
    return PlannedSentence(
        words=words,
        impression=impression,
        tag=tag,
        denied=denied,
        details=lexicon.packaged().details(text),
        plainer=plainer(words),
    )


def build_vocabulary(reports: Iterable[TargetReport], least: int) -> tuple[str, ...]:
    """Words seen at least ``least`` times in the sentences, after `SPECIAL_WORDS`, most frequent first."""
    return frequent_words((s.words for report in reports for s in set(report.sentences)), least)


def frequent_words(texts: Iterable[Sequence[str]], least: int) -> tuple[str, ...]:
    """Words that come at least ``least`` times in all, after `SPECIAL_WORDS`, most frequent first."""
    counts = Counter(word for text in texts for word in text)
    frequent = sorted((w for w, n in counts.items() if n >= least), key=lambda w: (-counts[w], w))
    return SPECIAL_WORDS + tuple(frequent)


def word_ids(words: tuple[str, ...], index: dict[str, int]) -> list[int]:
    """Ids with the end mark."""
    return [index.get(w, UNK) for w in words] + [END]
