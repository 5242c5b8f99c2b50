"""Pointing game (Zhang et al. 2016): whether the image speaks of a word where the thing that it names is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.coco import ShapeBox
from cxreport.evaluate.bootstrap import Figure, Statistics, draw_studies
from cxreport.explain.heatmap import upsampled
from cxreport.text.conventions import alphabetic_words
from cxreport.types import Floats, SentenceMap

METRICS = ("model", "other image", "other shape", "centre", "chance")
_PLATEAU = 1e-6


@dataclass(frozen=True)
class PointingFigures:
    """How often a word's map has its peak in the box of the shape that the word names."""

    images: int
    """With such a word."""
    words: int
    """Words that name a kind of which the image has one shape."""
    hits: dict[str, Figure]
    """Who points -> share of words whose box is hit. ``model``; ``other image``, by the map of the next such image;
    ``centre``, by the middle of the image; ``chance``, by any pixel. ``other shape`` is what the model hits in its
    place: the boxes of the image's other shapes."""


@dataclass(frozen=True, eq=False)
class Pointed:
    """What is known of an image."""

    maps: tuple[SentenceMap, ...]
    boxes: tuple[ShapeBox, ...]
    size: tuple[int, int]
    """Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class _Word:
    """A word that names a shape."""

    image: int
    box: ShapeBox
    weights: Floats


def pointing_game(images: Sequence[Pointed], resamples: int) -> PointingFigures | None:
    """Play the pointing game on the words that name a kind of which the image has exactly one shape.

    The map of a word is enlarged to the image's pixels, bilinearly. Where several pixels are its peak, as in a uniform
    map, their share in the box counts.

    Args:
        images: of which those without such a word count for nothing.
        resamples: of the intervals, over images, as words of an image are alike.

    Returns:
        None without a single word.
    """
    words = [word for i, image in enumerate(images) for word in _named(i, image)]
    if not words:
        return None
    places = {number: row for row, number in enumerate(dict.fromkeys(word.image for word in words))}
    rows = np.zeros((len(places), 1 + len(METRICS)))
    for word, other in zip(words, _of_other_images(words), strict=True):
        image = images[word.image]
        own, middle = peak(word.weights, image.size), np.zeros(image.size, bool)
        middle[image.size[0] // 2, image.size[1] // 2] = True
        target = inside(word.box, image.size)
        others = [inside(box, image.size) for box in image.boxes if box is not word.box]
        hits = (
            share(own, target),
            share(peak(other.weights, image.size), target),
            share(own, np.logical_or.reduce([np.zeros_like(target), *others]) & ~target),
            share(middle, target),
            float(target.mean()),
        )
        rows[places[word.image]] += (1, *hits)
    statistics = Statistics(METRICS, rows, lambda sums: sums[:, 1:] / sums[:, :1])
    return PointingFigures(len(places), len(words), statistics.estimate(draw_studies(len(places), resamples)))


def peak(weights: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a map (rows, columns), enlarged to ``size`` (height, width), is at its highest: (height, width)."""
    enlarged = upsampled(weights, *size)
    return np.asarray(enlarged >= enlarged.max() * (1 - _PLATEAU))


def inside(shape: ShapeBox, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels have their middle in the box of a shape: (height, width)."""
    left, top, width, height = shape.box
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1]) + 0.5
    return (x >= left) & (x < left + width) & (y >= top) & (y < top + height)


def share(pixels: NDArray[np.bool_], target: NDArray[np.bool_]) -> float:
    """Share of pixels that lie in a target, both (height, width)."""
    return float(target[pixels].mean())


def _named(number: int, image: Pointed) -> Iterator[_Word]:
    """The words of an image that name one shape."""
    for sentence in image.maps:
        for word in sentence.words:
            meant = [box for box in image.boxes if [box.kind] == alphabetic_words(word.word)]
            if len(meant) == 1:
                yield _Word(number, meant[0], word.weights)


def _of_other_images(words: Sequence[_Word]) -> Iterator[_Word]:
    """For each word the next one of another image, from the start after the last; itself where there is one image."""
    for i, word in enumerate(words):
        later = (words[(i + step) % len(words)] for step in range(1, len(words)))
        yield next((other for other in later if other.image != word.image), word)
