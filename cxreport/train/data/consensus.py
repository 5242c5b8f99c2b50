"""Consensus reports: the best wording for a study's plan, going by the reports of studies with similar evidence.

One radiologist's report is a noisy target: its wording is one of many, and half of its content is not in the evidence.
A consensus report is put together from sentences of the train split, for the plan that inference makes from the
evidence: for each topic the sentence that says it, and no more, and raises the expected BLEU-4 the most, with the
n-grams of the nearest studies' reports as expectation (after the consensus captions of Devlin et al. 2015). Training on
them is sequence-level distillation (Kim & Rush 2016): decoding greedily, the decoder then writes what was searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cxreport.datasets.openi import OpeniReport
from cxreport.drafting.plan import PlanRules, plan_as_given, plan_from_evidence
from cxreport.model.manifest import DecodingDefaults
from cxreport.text.lexicon import packaged
from cxreport.train.config import DecoderConfig
from cxreport.train.data.evidence import ReportEvidence
from cxreport.train.data.sentence_pool import Pool, make_pool
from cxreport.train.data.tag_facts import TagFacts
from cxreport.train.data.targets import ConsensusReport, PlannedSentence
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Certainty, Detail, Floats, Plan, PlannedTopic

_ORDER = 4
_PRECISIONS = (0.52, 0.24, 0.12, 0.067)  # of n-grams, where BLEU-4 is .18
_LENGTH_PAY = 0.45  # worth of a word by itself, as a share of its cost; without, Findings are too short
_SMOOTHING = 0.2  # share of all reports in the expectation, beside the nearest
_ASSUMED = 30  # reports for assumed probabilities in which a tag is told
_MOST_BESIDE = 2  # other tags that are told in one
_LEAST_TOLD, _MOST_NOT_TOLD = 0.5, 0.3  # assumed probabilities
_SEED = 0

Words = tuple[str, ...]


def consensus_reports(
    config: DecoderConfig,
    data: DecoderData,
    facts: TagFacts,
    evidence: ReportEvidence,
    reports: Sequence[OpeniReport],
) -> list[ConsensusReport]:
    """Put together a report for every train study with evidence: what is planned, and nothing else.

    Evidence hardly ever tells some tags for certain, or at all. So that the decoder has a sentence for whatever a plan
    may ask of it, there are also reports for probabilities that are assumed, as tables of another classifier have them.

    Args:
        config: number of neighbours.
        data: the decoder's train reports.
        facts: of the reporting tags.
        evidence: of the studies; those with similar logits are near.
        reports: the same train reports as text.
    """
    texts = {r.uid: r for r in reports}
    indices = [i for i, target in enumerate(data.train) if target.uid in evidence.logits]
    uids = [data.train[i].uid for i in indices]
    neighbours = _Neighbours(np.stack([evidence.logits[u] for u in uids]), config.consensus_neighbours)
    pools = [make_pool(data, impression) for impression in (False, True)]
    occurrences = [
        pools[0].occurrences(texts[u].findings for u in uids),
        pools[1].occurrences(texts[u].impression for u in uids),
    ]
    rules = plan_rules(data.tags, facts)
    plans = [(i, plan_from_evidence(evidence.source, evidence.probabilities[u], rules)) for i, u in enumerate(uids)]
    plans += assumed_plans(rules, len(indices))
    consensus = []
    for row, plan in plans:
        findings, impression = (
            _Writer(pool, neighbours.expect(row, grams), data.tags)
            for pool, grams in zip(pools, occurrences, strict=True)
        )
        written = [findings.write(topic) for topic in plan.findings]
        told = {sentence.tag: sentence.details for sentence in written}
        written += [impression.write(topic, told) for topic in plan.impression]
        consensus.append(ConsensusReport(indices[row], plan, tuple(written)))
    return consensus


def assumed_plans(rules: PlanRules, studies: int) -> list[tuple[int, Plan]]:
    """Plans for assumed probabilities: `_ASSUMED` in which a tag is told, for each tag, up to three tags in each.

    Args:
        rules: that plans are made by.
        studies: number of studies, of which one is drawn for each plan.

    Returns:
        index of the study, and the plan.
    """
    rng = np.random.default_rng(_SEED)
    count = len(rules.names)
    plans = []
    for tag in range(count):
        for _ in range(_ASSUMED):
            given = rng.uniform(0, _MOST_NOT_TOLD, count)
            told = np.append(rng.choice(count, rng.integers(_MOST_BESIDE + 1), replace=False), tag)
            given[told] = rng.uniform(_LEAST_TOLD, 1, len(told))
            plan = plan_as_given(rules, given.astype(np.float32), np.ones(count, bool))
            plans.append((int(rng.integers(studies)), plan))
    return plans


def plan_rules(tags: Sequence[str], facts: TagFacts) -> PlanRules:
    """Rules that the plans of consensus reports are made by: those of the bundle to be."""
    lexicon = packaged()
    return PlanRules(
        names=tags,
        impression=np.array(facts.impression),
        deniable=np.array(facts.deniable),
        decoding=DecodingDefaults(
            max_sentences=1,  # there are no free ones
            min_words=1,
            max_words=1,
            exact=True,
            findings_denials=facts.findings_denials,
            impression_denials=facts.impression_denials,
        ),
        urgency=lexicon.urgency,
        kin=lexicon.kin,
    )


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


class _Writer:
    """Section that is being put together."""

    def __init__(self, pool: Pool, expectation: Floats, names: Sequence[str]) -> None:
        """Start an empty section; ``expectation`` (G,) are the probabilities of the n-grams."""
        self._pool, self._names = pool, names
        worth = np.array([1 / (_PRECISIONS[len(g) - 1] * _ORDER) for g in pool.grams], np.float32)
        self._worth = expectation * worth
        self._costs = np.mean([np.maximum(0, pool.lengths - n) for n in range(_ORDER)], axis=0)
        self._selection: list[int] = []

    def write(self, topic: PlannedTopic, told: Mapping[str | None, frozenset[Detail]] | None = None) -> PlannedSentence:
        """Add the best sentence for a topic.

        Args:
            topic: of the plan.
            told: for an Impression, the details of each tag's sentence in the Findings, as it gives no more.
        """
        names = tuple(self._names[tag] for tag in topic.tags)
        details = topic.details
        if told is not None and topic.tag is not None:
            details = details & (told[names[0]] | {Detail.UNCERTAIN})
        best = max(self._pool.saying(names, topic.certainty, details), key=self._gain)
        self._selection.append(best)
        denied = names if topic.certainty is Certainty.ABSENT else ()
        return PlannedSentence(
            words=self._pool.sentences[best],
            impression=told is not None,
            tag=None if denied else names[0],
            denied=denied,
            details=self._pool.details[best],
            planned=topic.details,
        )

    def _gain(self, c: int) -> float:
        """Worth of a sentence's new n-grams and of its words, less the cost of the words."""
        new = self._pool.has[c] & ~self._pool.has[self._selection].any(0)
        return float(self._worth[new].sum() - self._costs[c] + _LENGTH_PAY * self._pool.lengths[c])
