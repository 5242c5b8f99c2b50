"""Plan: evidence of a classifier to what the sentences of the report are to say, and how surely."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.bands import EVEN, Bands, Mask, bands_as_given, evidence_bands
from cxreport.drafting.denials import choose_denials, widest_denial
from cxreport.errors import InvalidTagsError, UsageError
from cxreport.model.manifest import HEAD as HEAD
from cxreport.model.manifest import CertaintyLimits, DecodingDefaults, EvidenceModel, Manifest
from cxreport.sentences import Band
from cxreport.types import Certainty, Detail, Encoding, Floats, OperatingPoint, Plan, PlannedTopic

_CLIP = 1e-6
_UNUSUAL, _RARE = 1.0, 2.5
"""Standard scores from which evidence is more than a classifier finds in any image, and in nearly all."""
_LIMIT = 3.0
"""Standard score at which evidence is clipped."""


@dataclass(frozen=True, eq=False)
class PlanRules:
    """Facts of reporting tags (R of them) and of a decoder that plans are made by."""

    names: Sequence[str]
    impression: Mask
    """Tags that are told again in the Impression."""
    deniable: Mask
    """Tags that the Findings are to deny."""
    decoding: DecodingDefaults
    urgency: Sequence[str] = ()
    """Names of tags in the order of the Impression, the most urgent first; the others follow by probability."""
    kin: Sequence[tuple[str, str]] = ()
    """Names of two tags each of which a report does not deny while it tells the other, the wider one first."""

    @classmethod
    def of(cls, manifest: Manifest) -> PlanRules:
        """Rules of a bundle."""
        exact = manifest.decoding.exact  # the rules of a lexicon take a while to read
        return cls(
            names=manifest.reporting_names,
            impression=np.array([tag.impression for tag in manifest.reporting_tags]),
            deniable=np.array([tag.deniable for tag in manifest.reporting_tags]),
            decoding=manifest.decoding,
            urgency=manifest.lexicon.urgency if exact else (),
            kin=manifest.lexicon.kin if exact else (),
        )


def make_plan(
    manifest: Manifest,
    encoding: Encoding,
    source: str | None = None,
    threshold: float | None = None,
    point: OperatingPoint = OperatingPoint.BALANCED,
) -> Plan:
    """Decide what the report tells, how surely, and what it denies.

    A bundle without reporting tags, as the captioning architectures are, has nothing to plan. A tag that is at least as
    likely as not under its own name is never denied. Where the evidence would leave it out, it is told as possible if
    the classifier rarely says as much of an image, and else, or if fewer findings were asked for, withheld with a
    warning. A bundle without limits of certainty withholds it, and denies it where the classifier says as much of any
    image.

    Args:
        manifest: of the bundle.
        encoding: of the study.
        source: classifier that the tags are from, by its name in the manifest; `HEAD` for encoded images; None
            takes the probabilities as they are: those of a reporting tag or of an alias of one, positive from .5.
        threshold: in place of the limits from which tags are told.
        point: the limits from which tags are told, where there is no threshold.

    Raises:
        UsageError: no such source, or it has no limits for the operating point.
        InvalidTagsError: the study lacks tags that the source's evidence is made of.
    """
    if not manifest.reporting_tags:
        return Plan()
    rules = PlanRules.of(manifest)
    own, named = _named_probabilities(manifest, encoding.tags)
    if source is None:
        _check_point(None, "Probabilities of a classifier that is not named", point, threshold)
        return plan_as_given(rules, own, named, threshold)
    if source not in manifest.evidence:
        sources = ", ".join(sorted(manifest.evidence))
        raise UsageError(f"The bundle has no evidence for {source!r}; it knows {sources}.")
    evidence = manifest.evidence[source]
    _check_point(evidence.limits, f"Evidence {source!r}", point, threshold)
    probabilities = _reporting_probabilities(evidence, source, encoding.tags)
    return plan_from_evidence(evidence, probabilities, rules, own, threshold, point)


def plan_as_given(rules: PlanRules, own: Floats, named: Mask, threshold: float | None = None) -> Plan:
    """Plan with probabilities as they are, of a classifier that is not named.

    Args:
        rules: of the bundle, or of a decoder in training.
        own: (R,) probabilities of the reporting tags; 0 of those that are not named.
        named: (R,) tags that have a probability.
        threshold: from which tags are told; None takes .5.
    """
    bands = bands_as_given(own, named, rules.decoding.exact, threshold)
    return replace(_plan(rules, own, np.zeros_like(own), bands), unknown=_indices(~named))


def plan_from_evidence(
    evidence: EvidenceModel,
    probabilities: Floats,
    rules: PlanRules,
    own: Floats | None = None,
    threshold: float | None = None,
    point: OperatingPoint = OperatingPoint.BALANCED,
) -> Plan:
    """Plan with a source of evidence, for a bundle or for a decoder in training.

    Args:
        evidence: the source.
        probabilities: (R,) of the reporting tags, by that source.
        rules: of the bundle, or of the decoder.
        own: (R,) the classifier's probabilities of the same names; 0, or None, where it has none.
        threshold: in place of the source's limits.
        point: the source's limits from which tags are told.
    """
    bands = evidence_bands(evidence, probabilities, threshold, point)
    likely = np.zeros_like(bands.told) if own is None else (own >= EVEN) & ~bands.told
    unusual = unusual_evidence(evidence, probabilities)
    told = likely & (unusual >= _RARE)
    if evidence.limits is None or threshold is not None or point is OperatingPoint.SPECIFIC:
        told = np.zeros_like(likely)  # there is no doubt to tell it with, or fewer findings were asked for
    kept = likely & (unusual >= _UNUSUAL) if evidence.limits is None else likely
    bands = replace(bands.with_possible(told), absent=bands.absent & ~kept, unknown=bands.unknown & ~kept)
    plan = _plan(rules, probabilities, unusual, bands)
    degrees = {Detail.MILD: probabilities < evidence.mild, Detail.MARKED: probabilities > evidence.marked}

    def detailed(topic: PlannedTopic) -> PlannedTopic:
        if topic.certainty is Certainty.ABSENT:
            return topic
        details = {degree for degree, mask in degrees.items() if mask[topic.tags[0]]}
        return replace(topic, details=topic.details | details)

    return replace(
        plan,
        findings=tuple(map(detailed, plan.findings)),
        impression=tuple(map(detailed, plan.impression)),
        unknown=_indices((evidence.weights == 0).all(1)),
        withheld=tuple(np.flatnonzero(likely & ~told).tolist()),
    )


def band(plan: Plan, tag: int) -> Band:
    """Band of a reporting tag's probability: what it allows the report to say of the tag.

    Args:
        plan: of the study.
        tag: index of the reporting tag.
    """
    if tag in plan.tags:
        return Band.PRESENT if plan.topic(tag).certainty is Certainty.STATED else Band.POSSIBLE
    if tag in plan.unknown:
        return Band.NONE
    return Band.ABSENT if tag in plan.deniable else Band.SILENT


def _plan(rules: PlanRules, probabilities: Floats, unusual: Floats, bands: Bands) -> Plan:
    """The topics of both sections."""
    told = [
        PlannedTopic((tag,))
        if bands.flat[tag]
        else PlannedTopic((tag,), Certainty.POSSIBLE, frozenset({Detail.UNCERTAIN}))
        for tag in _descending(probabilities, bands.told)
    ]
    repeated = [topic for topic in told if rules.impression[topic.tags[0]]]
    if not rules.decoding.exact:
        first = unusual if unusual.any() else probabilities
        denied = _descending(first, rules.deniable & bands.absent)[: rules.decoding.denials]
        findings = [*told, *(PlannedTopic((tag,), Certainty.ABSENT) for tag in denied)]
        deniable = bands.absent | bands.unknown
        return Plan(probabilities, unusual, tuple(findings), tuple(repeated), _indices(deniable))
    absent = bands.absent & ~_excluded(rules, told)
    wanted = rules.deniable & ~_implied(rules, rules.deniable & absent)
    denials = choose_denials(rules.names, rules.decoding.findings_denials, absent, bands.unknown, wanted)
    ranks = {name: rank for rank, name in enumerate(rules.urgency)}
    impression = sorted(repeated, key=lambda topic: ranks.get(rules.names[topic.tags[0]], len(ranks)))
    if not impression:
        sets = rules.decoding.impression_denials
        widest = widest_denial(rules.names, sets, absent, bands.unknown, rules.deniable, rules.urgency)
        impression = widest or told[:1]
    return Plan(probabilities, unusual, (*told, *denials), tuple(impression), _indices(absent))


def _implied(rules: PlanRules, denied: Mask) -> Mask:
    """(R,) tags that need no denial of their own, as a wider one of the same kin is denied."""
    names = {name for name, is_denied in zip(rules.names, denied, strict=True) if is_denied}
    return _mask(rules, {second for first, second in rules.kin if first in names})


def _excluded(rules: PlanRules, told: Sequence[PlannedTopic]) -> Mask:
    """(R,) tags that are not denied beside those that are told."""
    names = {rules.names[topic.tags[0]] for topic in told}
    return _mask(rules, {b for a, b in (*rules.kin, *((b, a) for a, b in rules.kin)) if a in names})


def _mask(rules: PlanRules, chosen: Collection[str]) -> Mask:
    """(R,) tags of these names."""
    return np.array([name in chosen for name in rules.names])


def _check_point(limits: CertaintyLimits | None, subject: str, point: OperatingPoint, threshold: float | None) -> None:
    """Refuse an operating point for which there are no limits."""
    if limits is None and threshold is None and point is not OperatingPoint.BALANCED:
        raise UsageError(
            f"{subject}: no limits for the operating point {point.value!r}.",
            hint="Leave it out, or set one limit for all tags with --threshold.",
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
