"""Consensus reports: the best wording for a study's plan, going by the reports of studies with similar evidence.

One radiologist's report is a noisy target: its wording is one of many, and half of its content is not in the evidence.
A consensus report is put together from sentences of the train split, for the plan that inference makes from the
evidence: each time the sentence that raises the expected BLEU-4 the most, with the n-grams of the nearest studies'
reports as expectation (after the consensus captions of Devlin et al. 2015). Training on them is sequence-level
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
from cxreport.text.detokenise import sentence_text
from cxreport.text.labeler import CLASSES, label
from cxreport.text.scoring_conventions import R2GEN_FINDINGS
from cxreport.train.config import DecoderConfig
from cxreport.train.data.evidence import ReportEvidence
from cxreport.train.data.tag_facts import TagFacts
from cxreport.train.data.targets import ConsensusReport, PlannedSentence
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Detail, Floats, Plan

_ORDER = 4
_PRECISIONS = (0.52, 0.24, 0.12, 0.067)  # of n-grams, where BLEU-4 is .18
_WANTED, _MOST_WORDS = 32, 40  # words of Findings: on average, and after which nothing is added
_LENGTH_PAY = 0.45  # worth of a word by itself, as a share of its cost; without, Findings are too short
_FREE_PAY = 0.1  # more of it in a sentence without a plan
_LEAST_COUNT, _TELLING = 4, 25  # of a sentence without a plan; sentences per tag
_SMOOTHING = 0.2  # share of all reports in the expectation, beside the nearest
_PLAINER = 0.5  # weight of a plainer form against a sentence as it was written

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
        config: numbers of neighbours, and of sentences without a plan to choose from.
        data: the decoder's train reports.
        facts: of the reporting tags.
        evidence: of the studies; those with similar logits are near.
        reports: the same train reports as text.
    """
    texts, deniable = {r.uid: r for r in reports}, np.array(facts.deniable)
    indices = [i for i, target in enumerate(data.train) if target.uid in evidence.logits]
    uids = [data.train[i].uid for i in indices]
    neighbours = _Neighbours(np.stack([evidence.logits[u] for u in uids]), config.consensus_neighbours)
    pools = [_pool(data, impression, config.consensus_sentences) for impression in (False, True)]
    occurrences = [
        pools[0].occurrences(texts[u].findings for u in uids),
        pools[1].occurrences(texts[u].impression for u in uids),
    ]
    consensus = []
    for row, index in enumerate(indices):
        plan = plan_from_evidence(evidence.source, evidence.probabilities[uids[row]], deniable, len(data.tags))
        findings, impression = (
            _Writer(pool, neighbours.expect(row, grams), plan, data.tags)
            for pool, grams in zip(pools, occurrences, strict=True)
        )
        sentences = (*findings.findings(facts.places), *impression.impression(facts.impression))
        consensus.append(ConsensusReport(index, plan, sentences))
    return consensus


class _Neighbours:
    """Studies near each other by their standardised logits."""

    def __init__(self, logits: Floats, count: int) -> None:
        self._standard = (logits - logits.mean(0)) / (logits.std(0) + 1e-6)
        self._count = count

    def expect(self, row: int, values: Floats) -> Floats:
        """Expected value (G,) of ``values`` (N, G) for a study, from its neighbours but not from itself."""
        distances = ((self._standard - self._standard[row]) ** 2).sum(1)
        distances[row] = np.inf
        nearest = np.argsort(distances, kind="stable")[: self._count]
        weights = np.exp(-distances[nearest] / (2 * np.median(distances[nearest])))
        local = weights @ values[nearest] / weights.sum()
        return np.asarray((1 - _SMOOTHING) * local + _SMOOTHING * values.mean(0), np.float32)


@dataclass(frozen=True, eq=False)
class _Pool:
    """C sentences that a section may be put together from, and their G n-grams."""

    sentences: tuple[Words, ...]
    tags: tuple[dict[str, lexicon.Status], ...]
    """Status of the tags that each speaks of."""
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
        """(N, G) 1 for the n-grams that each text has."""
        rows = []
        for text in texts:
            row = np.zeros(len(self.grams), np.float32)
            words = (".", *R2GEN_FINDINGS.words(text)[: R2GEN_FINDINGS.max_words])
            row[[self.grams[g] for g in _grams(words) if g in self.grams]] = 1
            rows.append(row)
        return np.stack(rows)


def _pool(data: DecoderData, impression: bool, most_free: int) -> _Pool:
    """Collect the sentences of a section that are frequent, of known words, and in no need of unplanned details."""
    vocabulary = set(data.vocabulary)
    telling: defaultdict[str, Counter[Words]] = defaultdict(Counter)
    normal: Counter[Words] = Counter()
    for sentence in (s for t in data.train for s in t.sentences if s.impression == impression):
        for words, weight in ((sentence.words, 1.0), *((form, _PLAINER) for form, _ in sentence.plainer)):
            tags = lexicon.packaged().affirmed(" ".join(words))
            if set(words) <= vocabulary and len(tags) == 1:
                telling[next(iter(tags))][words] += weight  # type: ignore[assignment]
            elif set(words) <= vocabulary and not tags and not lexicon.packaged().details(" ".join(words)):
                normal[words] += weight  # type: ignore[assignment]
    sentences = [w for w, n in normal.most_common(most_free) if n >= _LEAST_COUNT]
    free, indices = tuple(range(len(sentences))), {}
    for tag in data.tags:
        candidates = [w for w, _ in telling[tag].most_common(3 * _TELLING) if _tells(w, tag)][:_TELLING]
        indices[tag] = tuple(range(len(sentences), len(sentences) + len(candidates)))
        sentences += candidates
    spoken = [(".", *R2GEN_FINDINGS.words(_text(words))) for words in sentences]
    grams = {g: i for i, g in enumerate(dict.fromkeys(g for words in spoken for g in _grams(words)))}
    has = np.zeros((len(sentences), len(grams)), bool)
    for row, words in zip(has, spoken, strict=True):
        row[[grams[g] for g in _grams(words)]] = True
    return _Pool(
        sentences=tuple(sentences),
        tags=tuple(lexicon.packaged().read_tags(_text(words)) for words in sentences),
        details=tuple(lexicon.packaged().details(" ".join(words)) for words in sentences),
        telling=indices,
        free=free,
        grams=grams,
        has=has,
        lengths=np.array([len(words) - 1 for words in spoken], np.float32),
    )


class _Writer:
    """Section that is being put together."""

    def __init__(self, pool: _Pool, expectation: Floats, plan: Plan, names: Sequence[str]) -> None:
        """Start an empty section; ``expectation`` (G,) are the probabilities of the n-grams."""
        self._pool, self._plan, self._names = pool, plan, names
        worth = np.array([1 / (_PRECISIONS[len(g) - 1] * _ORDER) for g in pool.grams], np.float32)
        self._worth = expectation * worth
        self._costs = np.mean([np.maximum(0, pool.lengths - n) for n in range(_ORDER)], axis=0)
        self._planned_names = {names[t] for t in plan.tags}
        self._selection: list[int] = []

    def findings(self, places: Sequence[float]) -> list[PlannedSentence]:
        """Sentences that tell tags, that deny tags, and others that are worth their words, in the order of ``places``.

        Those that deny are as few as can be: one that denies several tags comes for each of them, and is read once.
        """
        sentences = self._planned(self._plan.tags)
        missing, denying = set(self._plan.denied), dict[int, int]()
        while candidates := [c for c in self._fitting() if any(self._denies(c, tag) for tag in missing)]:
            best = max(candidates, key=self._gain)
            self._selection.append(best)
            denying |= {tag: best for tag in missing if self._denies(best, tag)}
            missing -= denying.keys()
        sentences += [self._sentence(denying[t], denied=(self._names[t],)) for t in self._plan.denied if t in denying]
        place_of = dict(zip(self._names, places, strict=True))
        free = self._free()
        free.sort(key=lambda c: min((place_of[t] for t in self._pool.tags[c]), default=1.0))
        return sentences + [self._sentence(c) for c in free]

    def impression(self, repeated: Sequence[bool]) -> list[PlannedSentence]:
        """Sentences that tell ``repeated`` tags again; without such tags the best sentence that fits."""
        sentences = self._planned([t for t in self._plan.tags if repeated[t]], impression=True)
        if not sentences:
            sentences = [self._sentence(max(self._fitting(), key=self._gain), impression=True)]
        return sentences

    def _planned(self, tags: Sequence[int], impression: bool = False) -> list[PlannedSentence]:
        """The best sentence for each tag, without details that are not planned."""
        sentences = []
        for tag in tags:
            details = self._plan.details.get(tag, frozenset())
            telling = self._pool.telling[self._names[tag]]
            candidates = [c for c in telling if self._pool.details[c] <= details and self._fits(c)]
            if candidates:
                c = max(candidates, key=self._gain)
                sentences.append(self._sentence(c, impression, tag=self._names[tag]))
                self._selection.append(c)
        return sentences

    def _free(self) -> list[int]:
        """Add sentences without a plan as long as they are worth their words."""
        free: list[int] = []
        candidates = self._fitting()
        while candidates and self._pool.lengths[self._selection].sum() < _MOST_WORDS:
            denied = {t for c in self._selection for t in self._pool.tags[c]}
            candidates = [c for c in candidates if not self._pool.tags[c] or not self._pool.tags[c].keys() <= denied]
            best = max(candidates, key=self._gain, default=None)
            if best is None or self._gain(best) + _FREE_PAY * self._pool.lengths[best] <= 0:
                break
            candidates.remove(best)
            free.append(best)
            self._selection.append(best)
        return free

    def _gain(self, c: int) -> float:
        """Worth of a sentence's new n-grams and of its words, less the cost of the words."""
        new = self._pool.has[c] & ~self._pool.has[self._selection].any(0)
        return float(self._worth[new].sum() - self._costs[c] + _LENGTH_PAY * self._pool.lengths[c])

    def _denies(self, c: int, tag: int) -> bool:
        return self._pool.tags[c].get(self._names[tag]) == "absent"

    def _fitting(self) -> list[int]:
        return [c for c in self._pool.free if self._fits(c)]

    def _fits(self, c: int) -> bool:
        """True for a sentence that neither denies a planned tag nor states another one."""
        return all((status == "absent") != (tag in self._planned_names) for tag, status in self._pool.tags[c].items())

    def _sentence(
        self, c: int, impression: bool = False, tag: str | None = None, denied: tuple[str, ...] = ()
    ) -> PlannedSentence:
        return PlannedSentence(self._pool.sentences[c], impression, tag, denied, self._pool.details[c])


def _grams(words: Words) -> Iterable[Words]:
    return (words[i : i + n] for n in range(1, _ORDER + 1) for i in range(len(words) - n + 1))


def _text(words: Words) -> str:
    return sentence_text(words, range(len(words)))


def _tells(words: Words, tag: str) -> bool:
    """True for a sentence that tells a tag by both the lexicon and the labeler."""
    text = _text(words)
    return tag in lexicon.packaged().affirmed(text) and (tag not in CLASSES or bool(label(text)[tag]))
