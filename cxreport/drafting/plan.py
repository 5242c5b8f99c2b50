"""Plan: evidence of a classifier to the reporting tags that the report states and denies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import InvalidTagsError, UsageError
from cxreport.model.manifest import EvidenceModel, Manifest
from cxreport.sentences import Band
from cxreport.types import Detail, Encoding, Floats, Plan

HEAD = "head"
"""Evidence source of the bundle's own tag head."""
_CLIP = 1e-6
_THRESHOLD = 0.5
"""Threshold of probabilities whose source is not named."""
_LIMIT = 3.0
"""Standard score at which evidence is clipped."""

Mask = NDArray[np.bool_]


def make_plan(
    manifest: Manifest, encoding: Encoding, source: str | None = None, threshold: float | None = None
) -> Plan:
    """Decide which reporting tags the report states, and which it denies: those that were most in question.

    A bundle without reporting tags, as the captioning architectures are, has nothing to plan.

    Args:
        manifest: of the bundle.
        encoding: of the study.
        source: classifier that the tags are from, by its name in the manifest; `HEAD` for encoded images; None
            takes the probabilities as they are: those of a reporting tag or of an alias of one, positive from .5.
        threshold: in place of the manifest's thresholds.

    Raises:
        UsageError: no such source.
        InvalidTagsError: the study lacks tags that the source's evidence is made of.
    """
    if not manifest.reporting_tags:
        return Plan()
    deniable = np.array([tag.deniable for tag in manifest.reporting_tags])
    denials = manifest.decoding.denials
    if source is None:
        probabilities, named = _named_probabilities(manifest, encoding.tags)
        plan = _plan_from_probabilities(probabilities, deniable, denials, threshold)
        return replace(plan, unknown=_indices(~named))
    if source not in manifest.evidence:
        sources = ", ".join(sorted(manifest.evidence))
        raise UsageError(f"The bundle has no evidence for {source!r}; it knows {sources}.")
    evidence = manifest.evidence[source]
    probabilities = _reporting_probabilities(evidence, source, encoding.tags)
    return plan_from_evidence(evidence, probabilities, deniable, denials, threshold)


def plan_from_evidence(
    evidence: EvidenceModel, probabilities: Floats, deniable: Mask, denials: int, threshold: float | None = None
) -> Plan:
    """Plan with a source of evidence, for a bundle or for a decoder in training.

    Args:
        evidence: the source.
        probabilities: (R,) of the reporting tags, by that source.
        deniable: (R,) tags that can be denied.
        denials: number of them that are.
        threshold: in place of the source's thresholds.
    """
    positive = probabilities >= (evidence.thresholds if threshold is None else threshold)
    unusual = unusual_evidence(evidence, probabilities)
    tags = _descending(probabilities, positive)
    degrees = {Detail.MILD: probabilities < evidence.mild, Detail.MARKED: probabilities > evidence.marked}
    return Plan(
        probabilities=probabilities,
        unusual=unusual,
        tags=tags,
        denied=_descending(unusual, deniable & evidence.weights.any(1) & ~positive)[:denials],
        details={tag: frozenset(degree for degree, mask in degrees.items() if mask[tag]) for tag in tags},
        unknown=_indices((evidence.weights == 0).all(1)),
    )


def band(plan: Plan, tag: int) -> Band:
    """Band of a reporting tag's probability: `present` for a planned one, `absent` for another with evidence.

    The thresholds of the plan are all that a bundle has, so that nothing is `possible`.

    Args:
        plan: of the study.
        tag: index of the reporting tag.
    """
    if tag in plan.tags:
        return Band.PRESENT
    return Band.NONE if tag in plan.unknown else Band.ABSENT


def _plan_from_probabilities(probabilities: Floats, deniable: Mask, denials: int, threshold: float | None) -> Plan:
    """Plan with probabilities of unknown source: nothing says how usual they are, or how marked a finding is."""
    positive = probabilities >= (_THRESHOLD if threshold is None else threshold)
    return Plan(
        probabilities=probabilities,
        unusual=np.zeros_like(probabilities),
        tags=_descending(probabilities, positive),
        denied=_descending(probabilities, deniable & (probabilities > 0) & ~positive)[:denials],
    )


def unusual_evidence(evidence: EvidenceModel, probabilities: Floats) -> Floats:
    """(R,) probabilities -> their standard scores among typical images; 0 for tags without evidence."""
    unusual = ((log_odds(probabilities) - evidence.usual) / evidence.spread).clip(-_LIMIT, _LIMIT)
    return np.where(evidence.weights.any(1), unusual, 0).astype(np.float32)


def _descending(scores: Floats, mask: Mask) -> tuple[int, ...]:
    """Indices under a mask, the highest score first; of equals, the smaller index."""
    return tuple(int(tag) for tag in np.argsort(-scores, kind="stable") if mask[tag])


def _indices(mask: Mask) -> frozenset[int]:
    """Indices under a mask."""
    return frozenset(np.flatnonzero(mask).tolist())


def _named_probabilities(manifest: Manifest, tags: dict[str, float]) -> tuple[Floats, Mask]:
    """(R,) probabilities under a tag's own name or an alias of it, the largest of several; 0 where there is none.

    Returns:
        The probabilities, and a (R,) mask of the tags that have one.
    """
    rows = manifest.reporting_rows
    probabilities, named = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.bool_)
    for name, probability in tags.items():
        reported_as = manifest.reported_as(name)
        if reported_as is not None:
            row = rows[reported_as]
            probabilities[row], named[row] = max(probabilities[row], probability), True
    return probabilities, named


def _reporting_probabilities(evidence: EvidenceModel, source: str, tags: dict[str, float]) -> Floats:
    """(R,) sigmoid(bias + weights . logit(p))."""
    missing = [name for name in evidence.inputs if name not in tags]
    if missing:
        raise InvalidTagsError(f"Evidence {source!r} needs more tags: {', '.join(missing)}.")
    inputs = np.array([tags[name] for name in evidence.inputs], np.float64)
    logits = evidence.bias + (evidence.weights * log_odds(inputs)).sum(1)
    probabilities: Floats = (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)
    return probabilities


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits of probabilities, kept off 0 and 1 so that certain evidence stays finite."""
    clipped = np.clip(probabilities.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))
