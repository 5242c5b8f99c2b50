"""Clinical F1 against values by hand, classes of texts and plans."""

from __future__ import annotations

from itertools import compress

import numpy as np
import pytest
from captions import values

from cxreport.evaluate.bootstrap import draw_studies
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.clinical import CLASSES


def stated(*names: str) -> list[bool]:
    return [name in names for name in CLASSES]


def test_f1_averages_by_hand() -> None:
    truth = np.array([stated("Edema"), stated("Edema", "Fracture"), stated("No Finding")])
    prediction = np.array([stated("Edema"), stated("Fracture", "Atelectasis"), stated("No Finding")])
    figures = values([clinical.f1_statistics(truth, prediction)], 3)
    # hits 3 (Edema, Fracture, No Finding), misses 1 (Edema), false alarms 1 (Atelectasis)
    assert figures["F1-14 micro"] == pytest.approx(6 / 8)
    assert figures["F1-14 macro"] == pytest.approx((2 / 3 + 1 + 1) / 14)
    assert figures["F1-5 micro"] == pytest.approx(2 / 4)
    assert figures["F1-5 macro"] == pytest.approx(2 / 3 / 5)
    edema = clinical.per_class(truth, prediction)["Edema"]
    assert (edema.positives, edema.precision, edema.recall, edema.f1) == (2, 1, 0.5, pytest.approx(2 / 3))


def test_classes_of_texts_and_of_plans() -> None:
    texts = ["Possible pneumonia.", "No effusion. The heart is enlarged.", "The lungs are clear."]
    stated = [set(compress(CLASSES, row)) for row in clinical.read_classes(texts)]
    assert stated == [{"Pneumonia"}, {"Cardiomegaly"}, {"No Finding"}]
    plans = [frozenset({"Hernia"}), frozenset({"Edema"}), frozenset({"Support Devices"}), frozenset()]
    planned = [set(compress(CLASSES, row)) for row in clinical.planned_classes(plans)]
    assert planned == [set(), {"Edema"}, {"No Finding", "Support Devices"}, {"No Finding"}]


def test_micro_and_macro_f1_by_hand() -> None:
    truth, prediction = np.array([[1, 0], [1, 1]], bool), np.array([[1, 1], [0, 0]], bool)
    figures = clinical.micro_macro_statistics("F1", truth, prediction).estimate(draw_studies(2, 0))
    # one hit, one false alarm and two misses; the second class has no hit
    assert figures["F1 micro"].value == pytest.approx(2 / 5)
    assert figures["F1 macro"].value == pytest.approx((2 / 3 + 0) / 2)
