"""Plan: evidence from a classifier to the reporting tags that the report has to tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import InvalidTagsError, UsageError
from cxreport.model.manifest import EvidenceModel, Manifest
from cxreport.types import Detail, Encoding, Floats, Plan

HEAD = "head"
"""Evidence source of the bundle's own tag head."""
_CLIP = 1e-6
_AS_THEY_ARE = 0.5
_MOST_UNUSUAL = 3.0


def make_plan(
    manifest: Manifest, encoding: Encoding, source: str | None = None, threshold: float | None = None
) -> Plan:
    """Decide which reporting tags the report states, and which it denies: those that were most in question.

    A bundle without reporting tags, as the captioning architectures are, has nothing to plan.

    Args:
        manifest: of the bundle.
        encoding: of the study.
        source: classifier that the tags are from, by its name in the manifest; `HEAD` for encoded images; None
            takes the tags as they are: those named like a reporting tag, or by an alias of one, positive from .5.
        threshold: in place of the manifest's thresholds.

    Raises:
        UsageError: no such source.
        InvalidTagsError: the study lacks tags that the source's evidence is made of.
    """
    if not manifest.reporting_tags:
        return Plan(np.zeros(0, np.float32), np.zeros(0, np.float32), ())
    deniable = np.array([tag.deniable for tag in manifest.reporting_tags])
    denials = manifest.decoding.denials
    if source is None:
        probabilities = _as_they_are(manifest, encoding.tags)
        positive = probabilities >= (_AS_THEY_ARE if threshold is None else threshold)
        deniable &= probabilities > 0
        unusual = np.zeros_like(probabilities)
        told, denied = _told_and_denied(probabilities, positive, deniable, probabilities, denials)
        return Plan(probabilities, unusual, told, denied)
    if source not in manifest.evidence:
        known = ", ".join(sorted(manifest.evidence))
        raise UsageError(f"The bundle has no evidence for {source!r}; it knows {known}.")
    evidence = manifest.evidence[source]
    return plan_from_evidence(evidence, _matched(evidence, source, encoding.tags), deniable, denials, threshold)


def plan_from_evidence(
    evidence: EvidenceModel,
    probabilities: Floats,
    deniable: NDArray[np.bool_],
    denials: int,
    threshold: float | None = None,
) -> Plan:
    """Plan with a source of evidence, for a bundle or for a decoder in training.

    Args:
        evidence: the source.
        probabilities: (R,) of the reporting tags, by that source.
        deniable: (R,) which tags can be denied.
        denials: how many are.
        threshold: in place of the source's thresholds.
    """
    positive = probabilities >= (evidence.thresholds if threshold is None else threshold)
    unusual = unusual_evidence(evidence, probabilities)
    deniable = deniable & evidence.weights.any(1)
    told, denied = _told_and_denied(probabilities, positive, deniable, unusual, denials)
    degrees = {Detail.MILD: probabilities < evidence.mild, Detail.MARKED: probabilities > evidence.marked}
    details = {r: frozenset(d for d, holds in degrees.items() if holds[r]) for r in told}
    return Plan(probabilities, unusual, told, denied, details)


def unusual_evidence(evidence: EvidenceModel, probabilities: Floats) -> Floats:
    """(R,) probabilities -> how many standard deviations they lie above the usual; 0 for tags without evidence."""
    unusual = ((log_odds(probabilities) - evidence.usual) / evidence.spread).clip(-_MOST_UNUSUAL, _MOST_UNUSUAL)
    return np.where(evidence.weights.any(1), unusual, 0).astype(np.float32)


def _told_and_denied(
    probabilities: Floats, positive: NDArray[np.bool_], deniable: NDArray[np.bool_], unusual: Floats, denials: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The positive tags, most probable first, and the negative ones that are most unusual."""
    told = [int(r) for r in np.argsort(-probabilities, kind="stable") if positive[r]]
    denied = [int(r) for r in np.argsort(-unusual, kind="stable") if deniable[r] and not positive[r]]
    return tuple(told), tuple(denied[:denials])


def _as_they_are(manifest: Manifest, tags: dict[str, float]) -> Floats:
    """(R,) the probabilities given under a tag's own name or an alias, the largest of several; 0 where none is."""
    rows = {name: r for r, name in enumerate(manifest.reporting_names)}
    probabilities = np.zeros(len(rows), np.float32)
    for name, probability in tags.items():
        row = rows.get(name if name in rows else manifest.aliases.get(name, name))
        if row is not None:
            probabilities[row] = max(probabilities[row], probability)
    return probabilities


def _matched(evidence: EvidenceModel, source: str, tags: dict[str, float]) -> Floats:
    """(R,) sigmoid(bias + weights . logit(p))."""
    missing = [name for name in evidence.inputs if name not in tags]
    if missing:
        raise InvalidTagsError(f"Evidence {source!r} needs more tags: {', '.join(missing)}.")
    given = np.array([tags[name] for name in evidence.inputs], np.float64)
    logits = evidence.bias + (evidence.weights * log_odds(given)).sum(1)
    probabilities: Floats = (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)
    return probabilities


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits of probabilities, kept off 0 and 1 so that certain evidence stays finite."""
    clipped = np.clip(probabilities.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))
