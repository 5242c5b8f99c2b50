"""Figures of maps against boxes, on maps by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxreport.evaluate.bootstrap import Figure, pooled_means
from cxreport.evaluate.grounding.boxes import box_mask
from cxreport.evaluate.grounding.summary import BoxedFinding, measure_maps

QUARTER = box_mask([(0, 0, 0.5, 0.5)], 8)


HEART, FLUID = "Cardiomegaly", "Effusion"


def corner(row: int, column: int) -> np.ndarray:
    """(2, 2) a map with all its weight in one patch."""
    weights = np.zeros((2, 2), np.float32)
    weights[row, column] = 1
    return weights


def boxed(image: str, finding: str, weights: np.ndarray, mask: np.ndarray = QUARTER, **facts: object) -> BoxedFinding:
    return BoxedFinding(image=image, finding=finding, mask=mask, model=weights, **({"val": False} | facts))


def test_means_are_over_findings_and_intervals_over_images() -> None:
    pairs = [boxed(str(i), FLUID, corner(0, 0)) for i in range(3)]
    pairs += [boxed(str(i), HEART, corner(1, 1)) for i in range(2, 8)]
    (figures,) = measure_maps(pairs, 50)
    assert (figures.name, figures.images) == ("all boxed images", 8)
    assert figures.findings[FLUID]["model"].pairs == 3
    assert figures.findings[FLUID]["model"].figures["pointing"] == Figure(1, 1, 1)
    assert figures.findings[HEART]["model"].figures["pointing"] == Figure(0, 0, 0)
    assert figures.means["model"]["pointing"].value == pytest.approx(1 / 2)
    assert figures.means["chance"]["pointing"].value == pytest.approx(1 / 4)
    assert figures.means["chance"]["mass ratio"].value == 1
    # all other boxes are the same one, so that the prior is right each time
    assert figures.means["prior"]["IoU"].value == 1
    assert figures.lead.value == pytest.approx(-1 / 2)
    assert figures.ahead == 0


def test_the_model_is_ahead_where_boxes_differ() -> None:
    pairs = [
        boxed(f"{row}{column}", FLUID, corner(row, column), box_mask([(column / 2, row / 2, 0.5, 0.5)], 8))
        for row in range(2)
        for column in range(2)
    ]
    (figures,) = measure_maps(pairs, 0)
    assert figures.findings[FLUID]["prior"].figures["pointing"].value == 0  # it is where the other boxes are
    assert (figures.ahead, figures.lead.value) == (1, 1)


def test_maps_that_are_not_there_count_for_nothing() -> None:
    pairs = [boxed("a", FLUID, corner(1, 1), sentence=corner(0, 0)), boxed("b", FLUID, corner(1, 1), val=True)]
    everything, val = measure_maps(pairs, 10)
    assert (everything.name, everything.images, val.name, val.images) == ("all boxed images", 2, "val patients", 1)
    sentence = everything.findings[FLUID]["sentence"]
    assert (sentence.pairs, sentence.figures["pointing"].value) == (1, 1)
    assert everything.findings[FLUID]["model"].figures["pointing"].value == 0
    none = val.findings[FLUID]["sentence"]
    assert (none.pairs, none.threshold) == (0, None)
    assert math.isnan(none.figures["IoU"].value)
    assert math.isnan(val.means["activation"]["pointing"].value)


def test_one_threshold_per_finding_is_the_best_on_average() -> None:
    halves = np.zeros((8, 8), np.float32)
    halves[:4, :4], halves[:4, 4:] = 1, 0.5
    upper = box_mask([(0, 0, 1, 0.5)], 8)
    (figures,) = measure_maps([boxed("a", FLUID, halves, upper), boxed("b", FLUID, halves, upper)], 0)
    best = figures.findings[FLUID]["model"]
    assert best.threshold <= 0.5
    assert best.figures["IoU"].value == 1
    both = measure_maps([boxed("a", FLUID, halves, upper), boxed("b", FLUID, halves, QUARTER)], 0)[0]
    figure = both.findings[FLUID]["model"].figures["IoU"].value
    assert figure == pytest.approx((1 + 0.5) / 2)


def test_pooled_means_by_hand() -> None:
    values = np.array([[1.0, math.nan], [0.0, 4.0], [0.0, 2.0]])
    figures = pooled_means(("a", "b"), values, np.array([7, 7, 9]), 0)
    assert (figures["a"].value, figures["b"].value) == (pytest.approx(1 / 3), 3)
    # the two of study 7 are drawn together: only 0, 1/3 and 1/2 can come out
    spread = pooled_means(("a", "b"), values, np.array([7, 7, 9]), 400)["a"]
    assert (spread.low, spread.high) == (0, 0.5)
