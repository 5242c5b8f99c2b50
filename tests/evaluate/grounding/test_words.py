"""Pointing game on words, on maps by hand."""

from __future__ import annotations

import numpy as np
import pytest
from captions import CIRCLE, mapped_images, sentence_map

from cxreport.datasets.coco import ShapeBox
from cxreport.evaluate.grounding.metrics import peak
from cxreport.evaluate.grounding.words import pointing_game, shape_mask
from cxreport.sentences import SentenceMap, WordMap


def test_pointing_by_hand() -> None:
    # patches are 10 x 10 pixels: (0, 1) lies in the circle's box, (3, 3) is the square's, (0, 3) is nobody's
    images = mapped_images(
        sentence_map(a=(0, 3), circle=(0, 1), Square=(3, 3)),
        sentence_map(circle=(0, 3), square=(1, 1)),
        sentence_map(red=(0, 0)),
    )
    game = pointing_game(images, 50)
    assert game is not None
    assert (game.images, game.words) == (2, 4)
    hits = {name: figure.value for name, figure in game.hits.items()}
    assert hits["model"] == 2 / 4
    assert hits["other shape"] == 1 / 4  # the second image's square is looked for in the circle
    # circle 1 and square 1 by the map of the second image's circle, circle 2 and square 2 by that of circle 1
    assert hits["other image"] == 1 / 4
    assert hits["centre"] == 0
    assert hits["chance"] == pytest.approx((400 + 100) / 2 / 1600)
    assert game.hits["model"].low is not None
    assert game.hits["model"].low <= 0.5 <= game.hits["model"].high


def test_pointing_at_nothing_is_chance_and_at_the_wrong_place_fails() -> None:
    flat = np.full((4, 4), 1 / 16, np.float32)
    uniform = (SentenceMap(flat, (WordMap("circle", flat),)),)
    game = pointing_game(mapped_images(uniform), 0)
    assert game is not None
    assert game.hits["model"].value == pytest.approx(game.hits["chance"].value) == pytest.approx(400 / 1600)
    wrong = pointing_game(mapped_images(sentence_map(circle=(3, 0))), 0)
    assert wrong is not None
    assert wrong.hits["model"].value == 0


def test_words_that_name_no_single_shape_do_not_count() -> None:
    twice = (CIRCLE, ShapeBox("circle", "blue", (30, 30, 10, 10)))
    assert pointing_game(mapped_images(sentence_map(circle=(0, 0)), boxes=twice), 0) is None
    assert pointing_game(mapped_images(sentence_map(star=(0, 0), circles=(0, 0))), 0) is None


def test_maps_are_enlarged_to_images_that_are_not_square() -> None:
    weights = np.zeros((2, 4), np.float32)
    weights[1, 2] = 1
    game = np.argwhere(peak(weights, (30, 80)))
    assert game.min(0).tolist() == [22, 49]
    assert game.max(0).tolist() == [29, 50]
    assert shape_mask(ShapeBox("ring", "red", (49, 22, 2, 8)), (30, 80)).sum() == 16
