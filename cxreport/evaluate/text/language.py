"""Language of reports: faults that a reader sees without the image, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxreport.text.consistency import Inconsistencies, find_inconsistencies
from cxreport.text.lexicon import packaged, split_sentences
from cxreport.text.scoring_conventions import SectionTexts

__all__ = ["FAULTS", "LanguageCounts", "count_language"]

FAULTS: dict[str, str] = {
    "repeats": "say something twice in a section",
    "contradictions": "contradict themselves",
    "orphans": "have an Impression that says more than the Findings",
    "fragments": "have a fragment in place of a sentence",
    "comparisons": "compare with an earlier study",
    "late": "tell the urgent after the less urgent",
}
"""Fault -> what reports with it do; the names are those of `Inconsistencies`."""


@dataclass(frozen=True)
class LanguageCounts:
    """Faults of N reports, read with the package's lexicon whatever bundle wrote them."""

    reports: int
    reports_with: dict[str, int]
    """Fault -> number of reports that have it."""
    faults: dict[str, int]
    """Fault -> its number in all reports: pairs of sentences, or sentences."""
    reports_with_any: int
    """Reports with a fault of any kind, comparisons aside, which a report with a prior may have."""


def count_language(reports: Sequence[SectionTexts]) -> LanguageCounts:
    """Count the faults of reports.

    Args:
        reports: N reports; drafted ones are read again from their text, sentence by sentence, as written ones are.
    """
    found = [_inconsistencies(report) for report in reports]
    numbers = {fault: [len(getattr(each, fault)) for each in found] for fault in FAULTS}
    own = [counts for fault, counts in numbers.items() if fault != "comparisons"]
    return LanguageCounts(
        reports=len(reports),
        reports_with={fault: sum(count > 0 for count in counts) for fault, counts in numbers.items()},
        faults={fault: sum(counts) for fault, counts in numbers.items()},
        reports_with_any=sum(any(counts) for counts in zip(*own, strict=True)),
    )


def _inconsistencies(report: SectionTexts) -> Inconsistencies:
    sections = (split_sentences(report.findings), split_sentences(report.impression))
    return find_inconsistencies(*sections, packaged())
