"""Captions of generated shapes, maps of their words, and values of figures."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

import numpy as np
import pytest
from places import EXAMPLES

from cxreport.datasets.coco import ShapeBox
from cxreport.evaluate.bootstrap import Statistics, draw_studies, estimate_all
from cxreport.evaluate.grounding.words import MappedImage
from cxreport.sentences import SentenceMap, WordMap

if str(EXAMPLES) not in sys.path:
    sys.path.append(str(EXAMPLES))

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR and PTBTokenizer need Java")
CIRCLE, SQUARE = ShapeBox("circle", "red", (0, 0, 20, 20)), ShapeBox("square", "blue", (30, 30, 10, 10))


def values(statistics: Iterable[Statistics], studies: int) -> dict[str, float]:
    """Values of figures over all studies, without intervals."""
    return {name: figure.value for name, figure in estimate_all(statistics, draw_studies(studies, 0)).items()}


def peak_map(row: int, column: int) -> np.ndarray:
    """(4, 4) a map with its whole weight on one patch."""
    weights = np.zeros((4, 4), np.float32)
    weights[row, column] = 1
    return weights


def sentence_map(**peaks: tuple[int, int]) -> tuple[SentenceMap, ...]:
    """A sentence of words, each with a map of one peak."""
    words = tuple(WordMap(f"{word}.", peak_map(*patch)) for word, patch in peaks.items())
    return (SentenceMap(np.full((4, 4), 1 / 16, np.float32), words),)


def mapped_images(*maps: tuple[SentenceMap, ...], boxes: tuple[ShapeBox, ...] = (CIRCLE, SQUARE)) -> list[MappedImage]:
    """Images of 40 x 40 pixels, one for each tuple of maps."""
    return [MappedImage(maps=sentences, boxes=boxes, size=(40, 40)) for sentences in maps]
