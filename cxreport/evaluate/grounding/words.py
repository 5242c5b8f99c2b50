"""Pointing game on words (Zhang et al. 2016): hits of a word's map in the box of the shape that the word names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.coco import ShapeBox
from cxreport.evaluate.bootstrap import Figure, Statistics, draw_studies
from cxreport.evaluate.grounding.metrics import peak, share
from cxreport.sentences import SentenceMap
from cxreport.text.scoring_conventions import alphabetic_words
from cxreport.types import Floats

METRICS = ("model", "other image", "other shape", "centre", "chance")


@dataclass(frozen=True)
class PointingFigures:
    """Shares of words whose map has its peak in the box of the shape that they name."""

    images: int
    """Images with such a word."""
    words: int
    """Words that name a kind of which the image has one shape."""
    hits: dict[str, Figure]
    """Pointer -> share of words whose box is hit. ``model``; ``other image``, by the map of the next such image;
    ``centre``, by the middle of the image; ``chance``, by any pixel. ``other shape`` is what the model hits in its
    place: the boxes of the image's other shapes."""


@dataclass(frozen=True, eq=False)
class MappedImage:
    """Image with the maps of its report and the boxes of its shapes."""

    maps: tuple[SentenceMap, ...]
    boxes: tuple[ShapeBox, ...]
    size: tuple[int, int]
    """Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class _Word:
    """Word that names a shape."""

    image: int
    box: ShapeBox
    weights: Floats
    """(rows, columns) the word's map."""


def pointing_game(images: Sequence[MappedImage], resamples: int) -> PointingFigures | None:
    """Play the pointing game on the words that name a kind of which the image has exactly one shape.

    The map of a word is enlarged to the image's pixels, bilinearly. Where several pixels are its peak, as in a uniform
    map, their share in the box counts.

    Args:
        images: of which those without such a word count for nothing.
        resamples: of the intervals, over images, as words of an image are alike.

    Returns:
        None without a single word.
    """
    words = [word for i, image in enumerate(images) for word in _naming_words(i, image)]
    if not words:
        return None
    numbers = {image: row for row, image in enumerate(dict.fromkeys(word.image for word in words))}
    rows = np.zeros((len(numbers), 1 + len(METRICS)))
    for word, counterpart in zip(words, _words_of_next_images(words), strict=True):
        rows[numbers[word.image]] += (1, *_hits(word, counterpart, images[word.image]))
    statistics = Statistics(METRICS, rows, lambda sums: sums[:, 1:] / sums[:, :1])
    figures = statistics.estimate(draw_studies(len(numbers), resamples))
    return PointingFigures(images=len(numbers), words=len(words), hits=figures)


def shape_mask(shape: ShapeBox, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose middle is in the box of a shape: (height, width)."""
    left, top, width, height = shape.box
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1]) + 0.5
    return (x >= left) & (x < left + width) & (y >= top) & (y < top + height)


def _hits(word: _Word, counterpart: _Word, image: MappedImage) -> tuple[float, ...]:
    """Shares of peaks in the word's box, or in those of other shapes, in the order of `METRICS`."""
    word_peak, middle = peak(word.weights, image.size), np.zeros(image.size, bool)
    middle[image.size[0] // 2, image.size[1] // 2] = True
    target = shape_mask(word.box, image.size)
    distractors = [shape_mask(box, image.size) for box in image.boxes if box is not word.box]
    return (
        share(word_peak, target),
        share(peak(counterpart.weights, image.size), target),
        share(word_peak, np.logical_or.reduce([np.zeros_like(target), *distractors]) & ~target),
        share(middle, target),
        float(target.mean()),
    )


def _naming_words(number: int, image: MappedImage) -> Iterator[_Word]:
    """The words of an image that name one shape."""
    for sentence in image.maps:
        for word in sentence.words:
            shapes = [box for box in image.boxes if [box.kind] == alphabetic_words(word.word)]
            if len(shapes) == 1:
                yield _Word(image=number, box=shapes[0], weights=word.weights)


def _words_of_next_images(words: Sequence[_Word]) -> Iterator[_Word]:
    """For each word the next one of another image, from the start after the last; itself where there is one image."""
    for i, word in enumerate(words):
        later = (words[(i + step) % len(words)] for step in range(1, len(words)))
        yield next((candidate for candidate in later if candidate.image != word.image), word)
