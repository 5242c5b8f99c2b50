"""Report: word ids to sentences, and everything that a reader of the report gets."""

from __future__ import annotations

from collections.abc import Sequence

from cxreport.drafting.plan_check import Line, mended
from cxreport.drafting.sentence_maps import sentence_maps
from cxreport.model.manifest import Manifest
from cxreport.text import lexicon
from cxreport.text.detokenise import sentence_text
from cxreport.types import Decoding, Detail, Encoding, Plan, PlannedTag, Repairs, Report, Section, Study, TagResult

_AS_GIVEN = 0.5
"""Threshold of tags that come from elsewhere."""


def write_report(
    manifest: Manifest,
    study: Study,
    encoding: Encoding,
    plan: Plan,
    decoding: Decoding,
    threshold: float | None = None,
    warnings: Sequence[str] = (),
    maps: bool = False,
) -> Report:
    """Put the report of one study into words.

    Args:
        manifest: of the bundle.
        study: that the report is about.
        encoding: its tags.
        plan: what it had to say.
        decoding: its sentences; none when only the tags were asked for.
        threshold: in place of the tags' own thresholds.
        warnings: to be added to the study's.
        maps: tie sentences and words to the patches of the image, where there is one.
    """
    told = [manifest.reporting_names[t] for t in plan.tags]
    repeated = [manifest.reporting_names[t] for t in plan.tags if manifest.reporting_tags[t].impression]
    sections: dict[Section, tuple[Line, ...]] = {}
    own_warnings, repairs = [], []
    for section in Section:
        kept = [
            Line(sentence_text(manifest.vocabulary, s.ids), s.planned is not None, s)
            for s in decoding.sentences
            if s.section is section
        ]
        if manifest.decoding.planned and kept:  # without planned topics, it is the free sentences that tell the tags
            findings = section is Section.FINDINGS
            kept, repair = mended(kept, told, told if findings else repeated, manifest.places if findings else None)
            repairs.append(repair)
        sections[section] = _distinct(kept)
        if decoding.sentences and not kept:
            own_warnings.append(f"The {section} section is empty: no sentence fits the findings.")
    texts = {section: tuple(line.text for line in lines) for section, lines in sections.items()}
    if decoding.sentences:
        stated = lexicon.affirmed(" ".join(text for section in texts.values() for text in section))
        own_warnings += [f"Planned, but no sentence tells it: {tag}." for tag in told if tag not in stated]
    return Report(
        study=study,
        tags=_tag_results(manifest, encoding, threshold),
        plan=tuple(
            PlannedTag(
                manifest.reporting_names[t],
                float(plan.probabilities[t]),
                tuple(d for d in Detail if d in plan.details.get(t, ())),
            )
            for t in plan.tags
        ),
        findings=texts[Section.FINDINGS],
        impression=texts[Section.IMPRESSION],
        warnings=(*study.warnings, *warnings, *own_warnings),
        repairs=Repairs(sum(r.removed for r in repairs), sum(r.added for r in repairs)),
        maps=sentence_maps(manifest, decoding, sections) if maps else None,
    )


def _distinct(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The first of each text."""
    first: dict[str, Line] = {}
    for line in lines:
        first.setdefault(line.text, line)
    return tuple(first.values())


def _tag_results(manifest: Manifest, encoding: Encoding, threshold: float | None) -> tuple[TagResult, ...]:
    """Compare the tags with their thresholds, which belong to the tag head: given tags are positive from .5."""
    own = {} if encoding.patches is None else {t.name: t.threshold for t in manifest.tags}
    return tuple(
        TagResult(name, p, p >= (own.get(name, _AS_GIVEN) if threshold is None else threshold))
        for name, p in encoding.tags.items()
    )
