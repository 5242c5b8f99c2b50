"""Plan: evidence of a classifier to the reporting tags that the report states and denies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import InvalidTagsError, UsageError
from cxreport.model.manifest import HEAD as HEAD
from cxreport.model.manifest import EvidenceModel, Manifest
from cxreport.types import Detail, Encoding, Floats, Plan

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
        probabilities = _named_probabilities(manifest, encoding.tags)
        return _plan_from_probabilities(probabilities, deniable, denials, threshold)
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
    )


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


def _named_probabilities(manifest: Manifest, tags: dict[str, float]) -> Floats:
    """(R,) probabilities under a tag's own name or an alias of it, the largest of several; 0 where there is none."""
    rows = {name: row for row, name in enumerate(manifest.reporting_names)}
    probabilities = np.zeros(len(rows), np.float32)
    for name, probability in tags.items():
        row = rows.get(name if name in rows else manifest.aliases.get(name, name))
        if row is not None:
            probabilities[row] = max(probabilities[row], probability)
    return probabilities


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
