"""Report: word ids to sentences, and everything else that a reader of the report gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cxreport.drafting.plan_check import PlanCheck, WrittenSentence
from cxreport.drafting.sentence_evidence import sentences_with_evidence
from cxreport.model.manifest import Manifest
from cxreport.text.detokenise import sentence_text
from cxreport.types import (
    Detail,
    Draft,
    Encoding,
    OperatingPoint,
    Plan,
    PlannedTag,
    Repairs,
    Report,
    Section,
    TagResult,
)

_THRESHOLD = 0.5
"""Threshold of probabilities that are not the tag head's."""
_UNDECIDED = {
    Section.FINDINGS: "Nothing can be stated or excluded with confidence.",
    Section.IMPRESSION: "No finding can be stated with confidence.",
}


def write_report(
    manifest: Manifest,
    draft: Draft,
    threshold: float | None = None,
    maps: bool = False,
    point: OperatingPoint = OperatingPoint.BALANCED,
) -> Report:
    """Put the report of one study into words.

    Args:
        manifest: of the bundle.
        draft: its encoding, plan and decoded sentences.
        threshold: in place of the tags' own thresholds.
        maps: map sentences and words to the patches of the image, where there is one.
        point: operating point that the plan was made at, where there is no threshold.
    """
    sections, repairs = _sections(manifest, draft)
    report = Report(
        study=draft.study,
        tags=_tag_results(manifest, draft.encoding, threshold),
        plan=_planned_tags(manifest, draft.plan),
        sentences=sentences_with_evidence(manifest, draft, sections, maps),
        repairs=repairs,
        operating_point=point if threshold is None else None,
    )
    withheld = [manifest.reporting_names[tag] for tag in draft.plan.withheld]
    doubts = _doubts(report, withheld) if report.sentences or draft.decoding.sentences else ()
    return replace(report, warnings=(*draft.study.warnings, *draft.warnings, *doubts))


def _sections(manifest: Manifest, draft: Draft) -> tuple[dict[Section, tuple[WrittenSentence, ...]], Repairs]:
    """Sentences of each section; where topics are planned, they keep to the plan."""
    sections, repairs = dict[Section, tuple[WrittenSentence, ...]](), list[Repairs]()
    for section in Section:
        sentences = [
            WrittenSentence(sentence_text(manifest.vocabulary, decoded.ids), origin=decoded)
            for decoded in draft.decoding.sentences
            if decoded.section is section
        ]
        if manifest.decoding.planned and (sentences or draft.worded):
            check = _plan_check(manifest, draft.plan, section, sections.get(Section.FINDINGS, ()))
            repaired, changes = check.repair(sentences)
            repairs.append(changes)
            sentences = repaired or _undecided(manifest, draft, section)
        sections[section] = _distinct(sentences)
    return sections, Repairs(sum(r.removed for r in repairs), sum(r.added for r in repairs))


def _plan_check(manifest: Manifest, plan: Plan, section: Section, findings: Sequence[WrittenSentence]) -> PlanCheck:
    """Findings tell all planned tags, each at its place; the Impression those that belong there."""
    names, in_findings = manifest.reporting_names, section is Section.FINDINGS
    topics = plan.findings if in_findings else plan.impression
    return PlanCheck(
        lexicon=manifest.lexicon,
        names=names,
        told={names[tag]: plan.topic(tag) for tag in plan.tags},
        required=[names[topic.tag] for topic in topics if topic.tag is not None],
        deniable=frozenset(names[tag] for tag in plan.deniable),
        exact=manifest.decoding.exact,
        places=manifest.places if in_findings else None,
        findings=None if in_findings else [sentence.text for sentence in findings],
    )


def _undecided(manifest: Manifest, draft: Draft, section: Section) -> list[WrittenSentence]:
    """A sentence for a section that may neither tell nor deny anything; none where evidence is not what it lacks."""
    plan = draft.plan
    silent = len(set(plan.tags) | plan.deniable) < len(manifest.reporting_tags)
    return [WrittenSentence(_UNDECIDED[section], origin=None)] if silent and not plan.tags else []


def _distinct(sentences: Sequence[WrittenSentence]) -> tuple[WrittenSentence, ...]:
    """The first sentence of each text."""
    first: dict[str, WrittenSentence] = {}
    for sentence in sentences:
        first.setdefault(sentence.text, sentence)
    return tuple(first.values())


def _doubts(report: Report, withheld: Sequence[str]) -> Iterator[str]:
    """Warnings of empty sections, and of planned tags that are not stated."""
    for section in Section:
        if not any(sentence.section is section for sentence in report.sentences):
            yield f"The {section} section is empty: no sentence fits the findings."
    told = report.told
    for planned in report.plan:
        if planned.tag not in told:
            yield f"Planned, but not stated in any sentence: {planned.tag}."
    if withheld:
        yield f"Likelier than not by their own probabilities, but not told: {', '.join(withheld)}."


def _planned_tags(manifest: Manifest, plan: Plan) -> tuple[PlannedTag, ...]:
    """Tags that the report is planned to state, with their details in the order of `Detail`."""
    return tuple(
        PlannedTag(
            tag=manifest.reporting_names[tag],
            probability=float(plan.probabilities[tag]),
            details=tuple(detail for detail in Detail if detail in plan.topic(tag).details - {Detail.UNCERTAIN}),
            certainty=plan.topic(tag).certainty,
        )
        for tag in plan.tags
    )


def _tag_results(manifest: Manifest, encoding: Encoding, threshold: float | None) -> tuple[TagResult, ...]:
    """Tags against their thresholds, which belong to the tag head: other probabilities are positive from .5."""
    head = {} if encoding.patches is None else {tag.name: tag.threshold for tag in manifest.tags}
    return tuple(
        TagResult(
            name,
            p,
            positive=p >= (head.get(name, _THRESHOLD) if threshold is None else threshold),
            reported_as=manifest.reported_as(name),
        )
        for name, p in encoding.tags.items()
    )
