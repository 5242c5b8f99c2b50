"""How often each phrase of certainty is right, counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.datasets.nih import FINDINGS
from cxreport.evaluate.bootstrap import draw_studies
from cxreport.evaluate.certainty import EITHER, LABEL, CertaintyFigures, measure_certainty
from cxreport.evaluate.tables.certainty import render_certainty
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import CertaintyLimits, Manifest
from cxreport.types import Certainty, OperatingPoint, Report, Study, TagResult

GIVEN = (0.95, 0.95, 0.6, 0.6, 0.03, 0.03, 0.3)
"""Probabilities of an effusion: two are stated, two possible, two denied, one passed over."""
LABELS = (1, 0, 1, 0, 0, 1, 1)
RELABELS = (0, 1, 0, 0, np.nan, 0, 0)


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    plain = load_manifest(tiny_bundle)

    def same(value: float) -> np.ndarray:
        return np.full(len(plain.reporting_tags), value, np.float32)

    limits = CertaintyLimits(certain=same(0.9), absent=same(0.1), sensitive=same(0.2), specific=same(0.8))
    head = replace(plain.evidence["head"], thresholds=same(0.5), limits=limits, bias=same(0))
    decoding = replace(plain.decoding, exact=True, findings_denials=(("Pleural Effusion",),))
    return replace(plain, evidence={"head": head}, decoding=decoding)


def measured(manifest: Manifest, relabels: bool = True) -> CertaintyFigures:
    column = FINDINGS.index("Effusion")
    labels, opinions = np.zeros((7, 14), np.float32), np.zeros((7, 14), np.float32)
    labels[:, column], opinions[:, column] = LABELS, RELABELS
    reports = [
        Report(
            Study(str(i), (), None),
            tuple(TagResult(name, p if name == "Effusion" else 0.3, False) for name in manifest.tag_names),
            (),
            (),
            (),
        )
        for i, p in enumerate(GIVEN)
    ]
    figures = measure_certainty(manifest, reports, labels, opinions if relabels else None, draw_studies(7, 0))
    assert figures is not None
    return figures


def test_phrases_by_hand(manifest: Manifest) -> None:
    phrases = {phrase.certainty: phrase for phrase in measured(manifest).phrases}
    assert {certainty: phrase.statements for certainty, phrase in phrases.items()} == dict.fromkeys(Certainty, 2)
    assert {c: (p.right[LABEL].value, p.right[EITHER].value) for c, p in phrases.items()} == {
        Certainty.STATED: (0.5, 1.0),
        Certainty.POSSIBLE: (0.5, 0.5),
        Certainty.ABSENT: (0.5, 0.5),
    }


def test_operating_points_by_hand(manifest: Manifest) -> None:
    points = measured(manifest, relabels=False).points
    told = {point: judges[LABEL]["Pleural Effusion"] for point, judges in points.items()}
    assert told[OperatingPoint.BALANCED].told.sensitivity == pytest.approx(2 / 4)
    assert told[OperatingPoint.SENSITIVE].told.sensitivity == pytest.approx(3 / 4)
    assert told[OperatingPoint.SPECIFIC].told.ppv == pytest.approx(1 / 2)
    assert told[OperatingPoint.BALANCED].denied_sick == pytest.approx(1 / 4)
    assert told[OperatingPoint.BALANCED].positives == 4


def test_a_bundle_without_limits_has_one_operating_point(tiny_bundle: Path) -> None:
    figures = measured(load_manifest(tiny_bundle))
    assert list(figures.points) == [OperatingPoint.BALANCED]
    possible = figures.phrases[1]
    assert possible.statements == 0
    assert math.isnan(possible.right[LABEL].value)


def test_tables_name_phrases_and_operating_points(manifest: Manifest) -> None:
    titles = [str(table.title) for table in render_certainty(measured(manifest))]
    assert len(titles) == 1 + 3 * 2
    assert "How often each phrase is right, 7 images" in titles[0]
    assert any("sensitive" in title for title in titles)
