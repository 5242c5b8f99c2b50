"""Abstention: shares by hand, and alterations of radiographs that are what they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.evaluate import abstention
from cxreport.evaluate.abstention import abstain_on_altered, measure_abstention
from cxreport.model.encode import encode
from cxreport.model.manifest import DistanceLimits
from cxreport.model.session import Model


@pytest.fixture
def model(tiny_bundle: Path) -> Model:
    """A model of its own for each test, as a test changes its manifest."""
    return Model.load(tiny_bundle, "cpu")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32), np.uint8)


def test_shares_by_hand(model: Model) -> None:
    noise = images(10)
    distances = sorted(encoding.distance for encoding in encode(model, list(noise)))
    limits = DistanceLimits(warn=distances[5], refuse=distances[7])
    model.manifest = replace(model.manifest, typicality=limits)
    rates = measure_abstention(model, "noise", noise, 20)
    assert (rates.kind, rates.plausible, rates.images) == ("noise", False, 10)
    assert rates.shares["warned"].value == pytest.approx(0.4)
    assert rates.shares["refused"].value == pytest.approx(0.2)
    assert rates.shares["refused"].low < 0.2 < rates.shares["refused"].high


def test_alterations_of_at_most_so_many_images(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abstention, "_ALTERED", 3)
    rates = abstain_on_altered(model, images(8), 0)
    assert {kind.images for kind in rates} == {3}
    assert len({kind.kind for kind in rates}) == len(rates) > 10


def test_alterations_are_what_they_are_called() -> None:
    picture = np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8) + np.uint8(9)
    random = np.random.default_rng(0)

    def altered(kind: str) -> np.ndarray:
        return (abstention._PLAUSIBLE | abstention._IMPLAUSIBLE)[kind](picture, random)

    assert (altered("mirrored") == np.fliplr(picture)).all()
    assert (altered("upside down") == np.rot90(picture, 2)).all()
    assert (altered("negative").astype(int) + picture == 255).all()
    assert (np.sort(altered("pixels shuffled"), None) == np.sort(picture, None)).all()
    assert not (altered("pixels shuffled") == picture).all()
    assert altered("a quarter of it").shape == (20, 20)
    assert altered("cropped by a tenth").shape == (36, 36)
    assert np.ptp(altered("half the contrast")) == np.ptp(picture) // 2
    assert len(np.unique(altered("flat grey"))) == 1
    squeezed = altered("squeezed to half")
    assert squeezed.shape == picture.shape
    assert (squeezed[:, 10:30] > 0).all()
    assert squeezed[:, :10].sum() + squeezed[:, 30:].sum() == 0
    assert (altered("black at the sides")[:, 4:36] > 0).all()
