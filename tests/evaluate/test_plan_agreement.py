"""Guards and agreement with labels against values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_reports import made_sentences

from cxreport.evaluate.bootstrap import draw_studies
from cxreport.evaluate.plan_agreement import StatedClasses, count_guards, measure_agreement
from cxreport.text.lexicon import packaged
from cxreport.types import PlannedTag, Report, Study


def report(plan: tuple[str, ...], findings: tuple[str, ...], impression: tuple[str, ...] = ("No disease.",)) -> Report:
    study = Study("x", ("x",), None, tags={})
    return Report(study, (), tuple(PlannedTag(tag, 0.5) for tag in plan), made_sentences(findings, impression))


def test_guards_count_reports() -> None:
    reports = [
        report(("Cardiomegaly",), ("The heart is enlarged.",)),
        report(("Cardiomegaly",), ("There is a pleural effusion.",)),
        report((), ("The lungs are clear.",), ()),
    ]
    counts = count_guards(reports, packaged())
    assert (counts.reports, counts.unplanned, counts.untold, counts.empty_section, counts.no_plan) == (3, 1, 1, 1, 1)


def test_agreement_by_hand() -> None:
    labels, report_classes, plan = (
        np.array(rows, bool) for rows in ([[1, 0], [1, 0]], [[1, 1], [0, 0]], [[1, 0], [1, 0]])
    )
    statements = StatedClasses(labels=labels, report=report_classes, plan=plan, tags=~labels)
    agreement = measure_agreement("labeler", ("A", "B"), statements, draw_studies(2, 0))
    values = {name: figure.value for name, figure in agreement.micro_f1.items()}
    expected = {"report": 0.5, "plan": 1.0, "tags": 0.0, "always all": 2 * 2 / 6, "always none": 0.0}
    assert values == pytest.approx(expected)
    assert (agreement.planned_told, agreement.told_unplanned) == (0.5, 0.5)
