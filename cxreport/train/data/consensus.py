"""Consensus reports: what a study's report would best say, going by the reports of studies with like evidence.

One radiologist's report is a noisy target: its wording is one of many, and half of what it tells is not in the
evidence. A consensus report is put together from sentences of the train split, for the plan that inference makes from
the evidence: sentence by sentence what raises the expected BLEU-4 the most, where the reports of the nearest studies
say which n-grams to expect (after the consensus captions of Devlin et al. 2015). Training on them is sequence-level
distillation (Kim & Rush 2016): decoding greedily, the decoder then writes what was searched for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.openi import OpeniReport
from cxreport.drafting.plan import plan_from_evidence
from cxreport.text import lexicon
from cxreport.text.conventions import R2GEN_FINDINGS
from cxreport.text.detokenise import sentence_text
from cxreport.text.labeler import CLASSES, label
from cxreport.train.config import DecoderConfig
from cxreport.train.data.evidence import ReportEvidence
from cxreport.train.data.tag_facts import TagFacts
from cxreport.train.data.targets import ConsensusReport, PlannedSentence
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Detail, Floats, Plan

_ORDER = 4
_PRECISIONS = (0.52, 0.24, 0.12, 0.067)  # of n-grams, where BLEU-4 is .18
_WANTED, _MOST_WORDS = 32, 40  # words of Findings: on average, and after which nothing is added
_LENGTH_PAY = 0.45  # what a word is worth by itself, of what it costs; without, Findings are too short
_FREE_PAY = 0.1  # and what more in a sentence without a plan
_LEAST_SEEN, _TELLING = 4, 25
_SMOOTHING = 0.2  # share of all reports in what is expected beside the nearest
_PLAINER = 0.5  # how a plainer form counts against a sentence as it was written

Words = tuple[str, ...]


def consensus_reports(
    config: DecoderConfig,
    data: DecoderData,
    facts: TagFacts,
    evidence: ReportEvidence,
    reports: Sequence[OpeniReport],
) -> list[ConsensusReport]:
    """Put together a report for every train study with evidence.

    Args:
        config: how many neighbours are asked, how many sentences there are to choose from.
        data: the decoder's train reports.
        facts: of the reporting tags.
        evidence: of the studies; those with like logits are near.
        reports: the same train reports as text.
    """
    texts, deniable = {r.uid: r for r in reports}, np.array(facts.deniable)
    known = [i for i, t in enumerate(data.train) if t.uid in evidence.logits]
    uids = [data.train[i].uid for i in known]
    near = _Neighbours(np.stack([evidence.logits[u] for u in uids]), config.consensus_neighbours)
    pools = [_pool(data, impression, config.consensus_sentences) for impression in (False, True)]
    said = [
        pools[0].occurrences(texts[u].findings for u in uids),
        pools[1].occurrences(texts[u].impression for u in uids),
    ]
    found = []
    for row, index in enumerate(known):
        plan = plan_from_evidence(evidence.source, evidence.probabilities[uids[row]], deniable, len(data.tags))
        findings, impression = (
            _Writer(pool, near.expect(row, some), plan, data.tags) for pool, some in zip(pools, said, strict=True)
        )
        sentences = (*findings.findings(facts.places), *impression.impression(facts.impression))
        found.append(ConsensusReport(index, plan, sentences))
    return found


class _Neighbours:
    """Studies near each other by their standardised logits."""

    def __init__(self, logits: Floats, count: int) -> None:
        self._at = (logits - logits.mean(0)) / (logits.std(0) + 1e-6)
        self._count = count

    def expect(self, row: int, said: Floats) -> Floats:
        """Expected value of ``said`` (N, G), given the study, from its neighbours but not from itself."""
        distances = ((self._at - self._at[row]) ** 2).sum(1)
        distances[row] = np.inf
        nearest = np.argsort(distances, kind="stable")[: self._count]
        weights = np.exp(-distances[nearest] / (2 * np.median(distances[nearest])))
        local = weights @ said[nearest] / weights.sum()
        return np.asarray((1 - _SMOOTHING) * local + _SMOOTHING * said.mean(0), np.float32)


@dataclass(frozen=True, eq=False)
class _Pool:
    """Sentences that a section may be put together from, and their G n-grams."""

    sentences: tuple[Words, ...]
    tags: tuple[dict[str, lexicon.Status], ...]
    """What each says."""
    details: tuple[frozenset[Detail], ...]
    telling: dict[str, tuple[int, ...]]
    """Tag -> the sentences that tell it and nothing else; those without a plan are the others."""
    free: tuple[int, ...]
    grams: dict[Words, int]
    has: NDArray[np.bool_]
    """(C, G)"""
    lengths: Floats
    """(C,) words, the full stop counted."""

    def occurrences(self, texts: Iterable[str]) -> Floats:
        """(N, G) which texts have which n-grams."""
        said = []
        for text in texts:
            row = np.zeros(len(self.grams), np.float32)
            words = (".", *R2GEN_FINDINGS.words(text)[: R2GEN_FINDINGS.max_words])
            row[[self.grams[g] for g in _grams(words) if g in self.grams]] = 1
            said.append(row)
        return np.stack(said)


def _pool(data: DecoderData, impression: bool, free: int) -> _Pool:
    """Collect the sentences of a section that are frequent, of known words, and in no need of unplanned details."""
    vocabulary = set(data.vocabulary)
    telling: defaultdict[str, Counter[Words]] = defaultdict(Counter)
    normal: Counter[Words] = Counter()
    for sentence in (s for t in data.train for s in t.sentences if s.impression == impression):
        for words, weight in ((sentence.words, 1.0), *((form, _PLAINER) for form, _ in sentence.plainer)):
            told = lexicon.packaged().affirmed(" ".join(words))
            if set(words) <= vocabulary and len(told) == 1:
                telling[next(iter(told))][words] += weight  # type: ignore[assignment]
            elif set(words) <= vocabulary and not told and not lexicon.packaged().details(" ".join(words)):
                normal[words] += weight  # type: ignore[assignment]
    sentences = [w for w, n in normal.most_common(free) if n >= _LEAST_SEEN]
    unplanned, chosen = tuple(range(len(sentences))), {}
    for tag in data.tags:
        able = [w for w, _ in telling[tag].most_common(3 * _TELLING) if _tells(w, tag)][:_TELLING]
        chosen[tag] = tuple(range(len(sentences), len(sentences) + len(able)))
        sentences += able
    spoken = [(".", *R2GEN_FINDINGS.words(_text(words))) for words in sentences]
    grams = {g: i for i, g in enumerate(dict.fromkeys(g for words in spoken for g in _grams(words)))}
    has = np.zeros((len(sentences), len(grams)), bool)
    for row, words in zip(has, spoken, strict=True):
        row[[grams[g] for g in _grams(words)]] = True
    return _Pool(
        tuple(sentences),
        tuple(lexicon.packaged().read_tags(_text(words)) for words in sentences),
        tuple(lexicon.packaged().details(" ".join(words)) for words in sentences),
        chosen,
        unplanned,
        grams,
        has,
        np.array([len(words) - 1 for words in spoken], np.float32),
    )


class _Writer:
    """Puts one section together."""

    def __init__(self, pool: _Pool, expected: Floats, plan: Plan, names: Sequence[str]) -> None:
        """Start with nothing written; ``expected`` (G,) are the probabilities of the n-grams."""
        self._pool, self._plan, self._names = pool, plan, names
        worth = np.array([1 / (_PRECISIONS[len(g) - 1] * _ORDER) for g in pool.grams], np.float32)
        self._worth = expected * worth
        self._costs = np.mean([np.maximum(0, pool.lengths - n) for n in range(_ORDER)], axis=0)
        self._told = {names[t] for t in plan.tags}
        self._written: list[int] = []

    def findings(self, places: Sequence[float]) -> list[PlannedSentence]:
        """What is told, then what is denied, and what else is worth its words, in the order of ``places``.

        The sentences that deny are as few as can be: one that denies several tags is there for each of them, and will
        be read once.
        """
        found = self._planned(self._plan.tags)
        open_, denying = set(self._plan.denied), dict[int, int]()
        while able := [c for c in self._fitting() if any(self._denies(c, tag) for tag in open_)]:
            best = max(able, key=self._gain)
            self._written.append(best)
            denying |= {tag: best for tag in open_ if self._denies(best, tag)}
            open_ -= denying.keys()
        found += [self._sentence(denying[t], denied=(self._names[t],)) for t in self._plan.denied if t in denying]
        where = dict(zip(self._names, places, strict=True))
        free = self._free()
        free.sort(key=lambda c: min((where[t] for t in self._pool.tags[c]), default=1.0))
        return found + [self._sentence(c) for c in free]

    def impression(self, repeated: Sequence[bool]) -> list[PlannedSentence]:
        """What is told again; where nothing is, the best sentence that fits."""
        found = self._planned([t for t in self._plan.tags if repeated[t]], impression=True)
        if not found:
            found = [self._sentence(max(self._fitting(), key=self._gain), impression=True)]
        return found

    def _planned(self, tags: Sequence[int], impression: bool = False) -> list[PlannedSentence]:
        found = []
        for tag in tags:
            details = self._plan.details.get(tag, frozenset())
            telling = self._pool.telling[self._names[tag]]
            able = [c for c in telling if self._pool.details[c] <= details and self._fits(c)]
            if able:
                c = max(able, key=self._gain)
                found.append(self._sentence(c, impression, tag=self._names[tag]))
                self._written.append(c)
        return found

    def _free(self) -> list[int]:
        """Add sentences without a plan as long as they are worth their words."""
        chosen: list[int] = []
        able = self._fitting()
        while able and self._pool.lengths[self._written].sum() < _MOST_WORDS:
            denied = {t for c in self._written for t in self._pool.tags[c]}
            able = [c for c in able if not self._pool.tags[c] or not self._pool.tags[c].keys() <= denied]
            best = max(able, key=self._gain, default=None)
            if best is None or self._gain(best) + _FREE_PAY * self._pool.lengths[best] <= 0:
                break
            able.remove(best)
            chosen.append(best)
            self._written.append(best)
        return chosen

    def _gain(self, c: int) -> float:
        """Worth of the n-grams that are not there yet and of the words themselves, less the cost of the words."""
        new = self._pool.has[c] & ~self._pool.has[self._written].any(0)
        return float(self._worth[new].sum() - self._costs[c] + _LENGTH_PAY * self._pool.lengths[c])

    def _denies(self, c: int, tag: int) -> bool:
        return self._pool.tags[c].get(self._names[tag]) == "absent"

    def _fitting(self) -> list[int]:
        return [c for c in self._pool.free if self._fits(c)]

    def _fits(self, c: int) -> bool:
        """Whether a sentence neither denies a planned tag nor states another one."""
        return all((status == "absent") != (tag in self._told) for tag, status in self._pool.tags[c].items())

    def _sentence(
        self, c: int, impression: bool = False, tag: str | None = None, denied: tuple[str, ...] = ()
    ) -> PlannedSentence:
        return PlannedSentence(self._pool.sentences[c], impression, tag, denied, self._pool.details[c])


def _grams(words: Words) -> Iterable[Words]:
    return (words[i : i + n] for n in range(1, _ORDER + 1) for i in range(len(words) - n + 1))


def _text(words: Words) -> str:
    return sentence_text(words, range(len(words)))


def _tells(words: Words, tag: str) -> bool:
    """Whether a sentence tells a tag, in the eyes of both the lexicon and the labeler."""
    text = _text(words)
    return tag in lexicon.packaged().affirmed(text) and (tag not in CLASSES or bool(label(text)[tag]))
