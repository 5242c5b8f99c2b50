"""Sentences of a report with their evidence: what each states, the probability behind it, its origin, and its map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cxreport.drafting.plan import band
from cxreport.drafting.plan_check import WrittenSentence
from cxreport.drafting.sentence_maps import sentence_maps
from cxreport.model.manifest import Manifest
from cxreport.sentences import Band, Origin, Sentence, Statement
from cxreport.text.statements import read_statements
from cxreport.types import Draft, Plan, Section


def sentences_with_evidence(
    manifest: Manifest, draft: Draft, sections: Mapping[Section, Sequence[WrittenSentence]], maps: bool
) -> tuple[Sentence, ...]:
    """Give each sentence of a report its evidence.

    Args:
        manifest: of the bundle.
        draft: its plan and decoded sentences.
        sections: sentences of the report, Findings first.
        maps: add where the sentences look, if they were decoded with attention.
    """
    written = [(section, sentence) for section, sentences in sections.items() for sentence in sentences]
    looks = sentence_maps(manifest, draft.decoding, sections) if maps else None
    return tuple(
        Sentence(
            section=section,
            text=sentence.text,
            origin=_origin(sentence),
            topic=_topic(manifest, sentence),
            statements=_statements(manifest, draft.plan, sentence.text),
            map=look,
        )
        for (section, sentence), look in zip(written, looks or [None] * len(written), strict=True)
    )


def _origin(sentence: WrittenSentence) -> Origin:
    if sentence.origin is None:
        return Origin.ADDED
    return Origin.FREE if sentence.origin.topic is None else Origin.PLANNED


def _topic(manifest: Manifest, sentence: WrittenSentence) -> str | None:
    """Name of the tag that a sentence was planned or added for."""
    if sentence.origin is None:
        return sentence.tag or None
    topic = sentence.origin.topic
    return None if topic is None else manifest.reporting_names[topic.tags[0]]


def _statements(manifest: Manifest, plan: Plan, text: str) -> tuple[Statement, ...]:
    """Statements of a text, with their probabilities in the plan; a tag that the bundle does not plan has none."""
    rows = manifest.reporting_rows
    return tuple(
        Statement(tag, reading.assertion, reading.details, *_evidence(plan, rows.get(tag)))
        for tag, reading in read_statements(manifest.lexicon, text).items()
    )


def _evidence(plan: Plan, tag: int | None) -> tuple[float | None, Band]:
    """Probability and band of a reporting tag, by its index."""
    if tag is None:
        return None, Band.NONE
    limits = band(plan, tag)
    return (None if limits is Band.NONE else float(plan.probabilities[tag])), limits
