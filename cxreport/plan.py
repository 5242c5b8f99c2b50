"""Plan: evidence from a classifier to the reporting tags that the report has to tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxreport.bundle import EvidenceModel, Manifest
from cxreport.errors import InvalidTagsError, UsageError
from cxreport.types import Detail, Encoding, Floats, Plan

HEAD = "head"
"""Evidence source of the bundle's own tag head."""
_CLIP = 1e-6
_AS_THEY_ARE = 0.5


def make_plan(
    manifest: Manifest, encoding: Encoding, source: str | None = None, threshold: float | None = None
) -> Plan:
    """Decide which reporting tags the report states, and which it denies: those that were most in question.

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
    degrees: dict[Detail, NDArray[np.bool_]] = {}
    if source is None:
        probabilities = _as_they_are(manifest, encoding.tags)
        thresholds, evident = np.full_like(probabilities, _AS_THEY_ARE), probabilities > 0
        unusual = log_odds(probabilities)
    elif source in manifest.evidence:
        evidence = manifest.evidence[source]
        probabilities, thresholds = _matched(evidence, source, encoding.tags), evidence.thresholds
        evident = np.asarray(evidence.weights.any(1))
        unusual = (log_odds(probabilities) - evidence.usual) / evidence.spread
        degrees = {Detail.MILD: probabilities < evidence.mild, Detail.MARKED: probabilities > evidence.marked}
    else:
        known = ", ".join(sorted(manifest.evidence))
        raise UsageError(f"The bundle has no evidence for {source!r}; it knows {known}.")
    positive = probabilities >= (thresholds if threshold is None else threshold)
    by_probability = np.argsort(-probabilities, kind="stable")
    deniable = [evident[r] and tag.deniable for r, tag in enumerate(manifest.reporting_tags)]
    denied = [int(r) for r in np.argsort(-unusual, kind="stable") if deniable[r] and not positive[r]]
    told = [int(r) for r in by_probability if positive[r]]
    details = {r: frozenset(d for d, holds in degrees.items() if holds[r]) for r in told}
    return Plan(probabilities, tuple(told), tuple(denied[: manifest.decoding.denials]), details)


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
