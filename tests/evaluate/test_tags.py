"""Figures of the tag head against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate import tags
from cxreport.evaluate.bootstrap import Figure, draw_studies


def test_calibration_error_by_hand() -> None:
    bins = tags.reliability_bins(np.array([0.1, 0.1, 0.9, 0.9], np.float32), np.array([0, 0, 1, 0], np.float32))
    assert bins.counts.tolist() == [2, 2]
    assert bins.error == pytest.approx((0.1 + 0.4) / 2)
    certain = tags.reliability_bins(np.array([1.0, 0.0], np.float32), np.array([1, 0], np.float32))
    assert certain.error == 0


def test_average_precision_by_hand() -> None:
    labels = np.array([1, 0, 1], np.float32)
    assert tags.average_precision(np.array([0.9, 0.8, 0.7], np.float32), labels) == pytest.approx((1 + 2 / 3) / 2)
    assert tags.average_precision(np.array([0.5, 0.5, 0.5], np.float32), labels) == pytest.approx(2 / 3)
    assert np.isnan(tags.average_precision(np.array([0.5], np.float32), np.array([0], np.float32)))


def test_findings_and_their_means() -> None:
    labels = np.zeros((40, 2), np.float32)
    labels[:10, 0], labels[:9, 1] = 1, 1
    scores = np.where(labels > 0, 0.8, 0.2).astype(np.float32)
    scores[0, 0] = 0.1
    labelled = tags.LabelledScores(("A", "B"), scores, labels, thresholds=np.full(2, 0.5, np.float32))
    figures = tags.measure_findings(labelled, draw_studies(40, 20))
    assert figures["A"].figures["AUC"].value == pytest.approx(0.9)
    point = figures["A"].at_threshold
    assert (point.sensitivity, point.specificity) == (pytest.approx(0.9), 1)
    assert figures["B"].figures["AUC"] == Figure(1.0, 1.0, 1.0)
    means = tags.measure_means(labelled, draw_studies(40, 20))
    assert means == figures["A"].figures  # B has too few positives


def test_operating_points_by_hand() -> None:
    """A finding with 4 true and 1 missed positive, 2 false alarms and 3 true negatives; and one that nobody has."""
    labels = np.array([[1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 10], np.float32).T
    scores = np.array([[0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1] * 10], np.float32).T
    labelled = tags.LabelledScores(("A", "none"), scores, labels, thresholds=np.full(2, 0.5, np.float32))
    figures = tags.measure_findings(labelled, draw_studies(10, 20))
    point, nobody = figures["A"].at_threshold, figures["none"].at_threshold
    assert (point.sensitivity, point.specificity) == (pytest.approx(4 / 5), pytest.approx(3 / 5))
    assert (point.ppv, point.npv) == (pytest.approx(4 / 6), pytest.approx(3 / 4))
    assert np.isnan(nobody.sensitivity)
    assert np.isnan(nobody.ppv)
    assert (nobody.specificity, nobody.npv) == (1, 1)


def test_calibration_on_images_that_had_no_part_in_it() -> None:
    """Odds four times too sure of themselves are calibrated again; noise is found to say nothing."""
    rng = np.random.default_rng(3)
    odds = rng.normal(-1, 1.5, 2000)
    labels = (rng.random(2000) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    sure = (1 / (1 + np.exp(-4 * odds))).astype(np.float32)
    held_out = tags.recalibrate_held_out(sure, labels)
    assert tags.reliability_bins(sure, labels).error > 0.1
    assert tags.reliability_bins(held_out, labels).error < 0.03
    np.testing.assert_allclose(held_out, 1 / (1 + np.exp(-odds)), atol=0.06)
    noise = rng.random(2000).astype(np.float32)
    assert tags.recalibrate_held_out(noise, labels).std() < 0.05  # learns that they say nothing


def test_calibration_of_a_finding_that_nobody_has() -> None:
    held_out = tags.recalibrate_held_out(np.linspace(0.1, 0.9, 40, dtype=np.float32), np.zeros(40, np.float32))
    assert (held_out < 1e-3).all()
