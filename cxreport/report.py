"""Report: word ids to sentences, and everything that a reader of the report gets."""

from __future__ import annotations

from collections.abc import Sequence

from cxreport import lexicon
from cxreport._sentence import sentence_text
from cxreport.bundle import Manifest
from cxreport.types import Decoding, Detail, Encoding, Plan, PlannedTag, Report, Section, Study, TagResult

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
    """
    told = [manifest.reporting_names[t] for t in plan.tags]
    sections, own_warnings = {}, []
    for section in Section:
        written = [(s.planned, sentence_text(manifest, s.ids)) for s in decoding.sentences if s.section is section]
        if manifest.decoding.planned:  # without planned topics, it is the free sentences that tell the tags
            written = _keep_to_plan(written, told)
        kept = tuple(dict.fromkeys(text for _, text in written))
        sections[section] = kept
        if decoding.sentences and not kept:
            own_warnings.append(f"The {section} section is empty: no sentence fits the findings.")
    if decoding.sentences:
        stated = lexicon.affirmed(" ".join(text for kept in sections.values() for text in kept))
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
        findings=sections[Section.FINDINGS],
        impression=sections[Section.IMPRESSION],
        warnings=(*study.warnings, *warnings, *own_warnings),
    )


def _keep_to_plan(written: list[tuple[int | None, str]], told: Sequence[str]) -> list[tuple[int | None, str]]:
    """A section without what does not fit its plan, and without sentences that deny again what is denied."""
    kept, denied = [], set[str]()
    for planned, text in written:
        if not _fits(text, planned is not None, told):
            continue
        tags = lexicon.read_tags(text)
        if planned is None and tags and tags.keys() <= denied:
            continue
        denied |= {tag for tag, status in tags.items() if status == "absent"}
        kept.append((planned, text))
    return kept


def _fits(text: str, planned: bool, told: Sequence[str]) -> bool:
    """Whether a sentence keeps to the plan: a planned one states planned tags only, a free one contradicts none."""
    if planned:
        stated = lexicon.affirmed(text)
        return bool(stated) and stated <= set(told)
    return not lexicon.contradicts(text, told)


def _tag_results(manifest: Manifest, encoding: Encoding, threshold: float | None) -> tuple[TagResult, ...]:
    """Compare the tags with their thresholds, which belong to the tag head: given tags are positive from .5."""
    own = {} if encoding.patches is None else {t.name: t.threshold for t in manifest.tags}
    return tuple(
        TagResult(name, p, p >= (own.get(name, _AS_GIVEN) if threshold is None else threshold))
        for name, p in encoding.tags.items()
    )
