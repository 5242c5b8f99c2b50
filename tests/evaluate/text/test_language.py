"""Counts of faults of language against values by hand."""

from __future__ import annotations

from cxreport.evaluate.text.language import FAULTS, count_language
from cxreport.text.consistency import Inconsistencies
from cxreport.text.scoring_conventions import SectionTexts


def test_faults_are_counted_by_report_and_in_all() -> None:
    reports = [
        SectionTexts("No effusion. There is no effusion. No pleural effusion.", "No edema."),
        SectionTexts("There is edema. The heart unchanged.", "There is edema. Pneumothorax."),
        SectionTexts("The heart is stable.", ""),
        SectionTexts("The heart is normal.", "Normal heart."),
    ]
    counts = count_language(reports)
    assert counts.reports == 4
    none = dict.fromkeys(FAULTS, 0)
    with_fault = {"repeats": 1, "orphans": 1, "fragments": 1, "comparisons": 2, "late": 1}
    assert counts.reports_with == none | with_fault
    assert counts.faults == none | with_fault | {"repeats": 3}
    assert counts.reports_with_any == 2


def test_every_fault_that_is_looked_for_is_counted() -> None:
    assert set(FAULTS) == set(vars(Inconsistencies()))
