"""Report: word ids to sentences, and everything that a reader of the report gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cxreport import lexicon
from cxreport._sentence import sentence_text
from cxreport.bundle import Manifest
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
    repeated = [manifest.reporting_names[t] for t in plan.tags if manifest.reporting_tags[t].impression]
    sections, own_warnings, repairs = {}, [], []
    for section in Section:
        written = [
            (s.planned is not None, sentence_text(manifest.vocabulary, s.ids))
            for s in decoding.sentences
            if s.section is section
        ]
        if manifest.decoding.planned and written:  # without planned topics, it is the free sentences that tell the tags
            findings = section is Section.FINDINGS
            kept, repair = _mended(written, told, told if findings else repeated, manifest.places if findings else None)
            repairs.append(repair)
        else:
            kept = [text for _, text in written]
        sections[section] = tuple(dict.fromkeys(kept))
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
        repairs=Repairs(sum(r.removed for r in repairs), sum(r.added for r in repairs)),
    )


def _mended(
    written: list[tuple[bool, str]], told: Sequence[str], due: Sequence[str], places: Mapping[str, float] | None
) -> tuple[list[str], Repairs]:
    """The sentences of a section that keeps to its plan: none contradicts it, and all tags that are due are told.

    Args:
        written: whether a sentence was planned to tell a tag, and its text.
        told: tags that the report is planned to tell.
        due: those that this section has to tell.
        places: where the section speaks of each tag; None keeps the order.
    """
    fitting = [(planned, text) for planned, text in written if _fits(lexicon.read_tags(text), planned, told)]
    kept = _arranged(fitting, places)
    stated = lexicon.affirmed(" ".join(kept))
    added = [(True, lexicon.plain_sentence(tag)) for tag in due if tag not in stated]
    if added:
        kept = _arranged(fitting + added, places)
    return kept, Repairs(len(written) - len(fitting), len(added))


def _arranged(sentences: Sequence[tuple[bool, str]], places: Mapping[str, float] | None) -> list[str]:
    """Leave out what denies again what is denied; the first place of what a sentence mentions says where it stands."""
    kept: list[tuple[float, str]] = []
    denied = set[str]()
    for planned, text in sentences:
        tags = lexicon.read_tags(text)
        if not planned and tags and tags.keys() <= denied:
            continue
        denied |= {tag for tag, status in tags.items() if status == "absent"}
        place = min((places[tag] for tag in tags if tag in places), default=1.0) if places else 0.0
        kept.append((place, text))
    return [text for _, text in sorted(kept, key=lambda one: one[0])]


def _fits(tags: Mapping[str, lexicon.Status], planned: bool, told: Sequence[str]) -> bool:
    """Whether a sentence keeps to the plan: a planned one states planned tags only, a free one contradicts none."""
    stated = {tag for tag, status in tags.items() if status != "absent"}
    if planned:
        return bool(stated) and stated <= set(told)
    return not stated - set(told) and not (tags.keys() - stated) & set(told)


def _tag_results(manifest: Manifest, encoding: Encoding, threshold: float | None) -> tuple[TagResult, ...]:
    """Compare the tags with their thresholds, which belong to the tag head: given tags are positive from .5."""
    own = {} if encoding.patches is None else {t.name: t.threshold for t in manifest.tags}
    return tuple(
        TagResult(name, p, p >= (own.get(name, _AS_GIVEN) if threshold is None else threshold))
        for name, p in encoding.tags.items()
    )
