"""Report: word ids to sentences, and everything else that a reader of the report gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cxreport.drafting.plan_check import PlanCheck, WrittenSentence
from cxreport.drafting.sentence_evidence import sentences_with_evidence
from cxreport.model.manifest import Manifest
from cxreport.text.detokenise import sentence_text
from cxreport.types import Detail, Draft, Encoding, Plan, PlannedTag, Repairs, Report, Section, TagResult

_THRESHOLD = 0.5
"""Threshold of probabilities that are not the tag head's."""


def write_report(manifest: Manifest, draft: Draft, threshold: float | None = None, maps: bool = False) -> Report:
    """Put the report of one study into words.

    Args:
        manifest: of the bundle.
        draft: its encoding, plan and decoded sentences.
        threshold: in place of the tags' own thresholds.
        maps: map sentences and words to the patches of the image, where there is one.
    """
    sections, repairs = _sections(manifest, draft)
    report = Report(
        study=draft.study,
        tags=_tag_results(manifest, draft.encoding, threshold),
        plan=_planned_tags(manifest, draft.plan),
        sentences=sentences_with_evidence(manifest, draft, sections, maps),
        repairs=repairs,
    )
    doubts = _doubts(report) if draft.decoding.sentences else ()
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
        if manifest.decoding.planned and sentences:
            sentences, changes = _plan_check(manifest, draft.plan, section).repair(sentences)
            repairs.append(changes)
        sections[section] = _distinct(sentences)
    return sections, Repairs(sum(r.removed for r in repairs), sum(r.added for r in repairs))


def _plan_check(manifest: Manifest, plan: Plan, section: Section) -> PlanCheck:
    """Findings state all planned tags, each at its place; the Impression those that belong there."""
    names, findings = manifest.reporting_names, section is Section.FINDINGS
    return PlanCheck(
        lexicon=manifest.lexicon,
        tags=[names[tag] for tag in plan.tags],
        required=[names[tag] for tag in plan.tags if findings or manifest.reporting_tags[tag].impression],
        places=manifest.places if findings else None,
    )


def _distinct(sentences: Sequence[WrittenSentence]) -> tuple[WrittenSentence, ...]:
    """The first sentence of each text."""
    first: dict[str, WrittenSentence] = {}
    for sentence in sentences:
        first.setdefault(sentence.text, sentence)
    return tuple(first.values())


def _doubts(report: Report) -> Iterator[str]:
    """Warnings of empty sections, and of planned tags that are not stated."""
    for section in Section:
        if not any(sentence.section is section for sentence in report.sentences):
            yield f"The {section} section is empty: no sentence fits the findings."
    told = report.told
    for planned in report.plan:
        if planned.tag not in told:
            yield f"Planned, but not stated in any sentence: {planned.tag}."


def _planned_tags(manifest: Manifest, plan: Plan) -> tuple[PlannedTag, ...]:
    """Tags that the report is planned to state, with their details in the order of `Detail`."""
    return tuple(
        PlannedTag(
            tag=manifest.reporting_names[tag],
            probability=float(plan.probabilities[tag]),
            details=tuple(detail for detail in Detail if detail in plan.details.get(tag, ())),
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
