"""Captions drafted from images in COCO's layout, against what people wrote of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.datasets.coco import SPLIT_FILE, CocoImage, ShapeBox, read_boxes, read_captions
from cxreport.evaluate import baselines
from cxreport.evaluate.bootstrap import Figure, Systems, draw_studies
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_data_told
from cxreport.evaluate.grounding.words import Pointed, PointingFigures, pointing_game
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.tokens import CaptionTokenizer
from cxreport.evaluate.text.variety import variety
from cxreport.model.session import Model
from cxreport.reading.study import read_studies
from cxreport.types import Report

MODEL, HUMAN, LIKE_HUMAN = "model", "human", "model, as human"
_SAMPLE = 2000
_SEED = 20141120


@dataclass(frozen=True)
class CocoSample:
    """The caption of an image, as an example."""

    image: str
    caption: str
    reference: str
    """The first one."""


@dataclass(frozen=True)
class CocoFigures:
    """Everything measured on images with captions."""

    name: str
    """Of the folder."""
    split: str
    metrics: str
    """Versions of the text metrics."""
    words: str
    """How captions were cut into words."""
    images: int
    references: int
    """Of all images together."""
    systems: Systems
    """Who wrote -> metric -> figure. `HUMAN` is one reference of each image against its others, at a disadvantage to
    who is measured against them all; `LIKE_HUMAN` is the model against those others."""
    pointing: PointingFigures | None
    """None without boxes, without maps, or without a word that names a shape of its image."""
    samples: tuple[CocoSample, ...]
    """The first images, whatever their captions are like."""


def evaluate_coco(model: Model, folder: Path, options: EvaluateOptions) -> CocoFigures:
    """Draft the captions of the val images and measure them against all references.

    Args:
        model: a bundle that captions images.
        folder: COCO's layout; with ``shapes_boxes.json`` the maps of words are measured too.
        options: how much is measured.

    Raises:
        UsageError: a file is missing.
        TrainingError: a file is not what it should be.
        CxreportError: an image could not be captioned.
    """
    with missing_data_told():
        train, val = read_captions(folder, "train"), read_captions(folder, "val")[: options.limit]
    boxes = read_boxes(folder)
    drafted = draft(model, read_studies(image.path for image in val), options, attention=bool(boxes))
    by_path = {report.study.sources[0]: report for report in drafted}
    reports = [by_path[str(image.path)] for image in val]
    texts = [" ".join(report.findings) for report in reports]
    metrics, tokenize = CaptionMetrics(), CaptionTokenizer()
    systems = score([image.captions for image in val], texts, train, metrics, tokenize, options.bootstrap)
    return CocoFigures(
        folder.resolve().name,
        f"val of {SPLIT_FILE}" if (folder / SPLIT_FILE).exists() else "val",
        metrics.signature,
        tokenize.signature,
        len(val),
        sum(len(image.captions) for image in val),
        systems,
        point(val, reports, boxes, options.bootstrap),
        tuple(
            CocoSample(image.path.name, text, image.captions[0])
            for image, text in zip(val[: options.samples], texts, strict=False)
        ),
    )


def score(
    references: Sequence[Sequence[str]],
    texts: Sequence[str],
    train: Sequence[CocoImage],
    metrics: CaptionMetrics,
    tokenize: CaptionTokenizer,
    resamples: int,
) -> Systems:
    """Measure captions beside what is written without a model, on the same resamples.

    Args:
        references: of N images, one or more each.
        texts: N captions.
        train: images whose captions the baselines take.
        metrics: that measure.
        tokenize: what cuts captions into words.
        resamples: of the intervals.
    """
    prepared = _prepare(references, tokenize)
    written = {MODEL: tokenize(texts)} | _baselines(train, len(texts), tokenize)
    systems = {name: _measure(metrics, prepared, some, resamples) for name, some in written.items()}
    several = [i for i, some in enumerate(prepared) if len(some) > 1]
    if several:
        rng = np.random.default_rng(_SEED)
        held = {i: int(rng.integers(len(prepared[i]))) for i in several}
        others = [[text for j, text in enumerate(prepared[i]) if j != held[i]] for i in several]
        systems[HUMAN] = _measure(metrics, others, [prepared[i][held[i]] for i in several], resamples)
        systems[LIKE_HUMAN] = _measure(metrics, others, [written[MODEL][i] for i in several], resamples)
    return systems


def point(
    images: Sequence[CocoImage], reports: Sequence[Report], boxes: dict[int, tuple[ShapeBox, ...]], resamples: int
) -> PointingFigures | None:
    """Play the pointing game with the maps of N reports of N images, where there are boxes and maps."""
    if not boxes or all(report.maps is None for report in reports):
        return None
    pointed = []
    for image, report in zip(images, reports, strict=True):
        with Image.open(image.path) as opened:
            pointed.append(Pointed(report.maps or (), boxes.get(image.id, ()), (opened.height, opened.width)))
    return pointing_game(pointed, resamples)


def _prepare(several: Sequence[Sequence[str]], tokenize: CaptionTokenizer) -> list[list[str]]:
    """The captions of each image in prepared words."""
    words = iter(tokenize([text for some in several for text in some]))
    return [[next(words) for _ in some] for some in several]


def _baselines(train: Sequence[CocoImage], count: int, tokenize: CaptionTokenizer) -> dict[str, list[str]]:
    """N captions written without a model, from the train split alone, in prepared words.

    The constant is, of the captions of a sample of `_SAMPLE` images, the one that does best on this sample.
    """
    chosen = np.random.default_rng(_SEED).permutation(len(train))[:_SAMPLE]
    sample = _prepare([train[i].captions for i in sorted(chosen.tolist())], tokenize)
    candidates = [text for several in sample for text in several]
    captions = [text for image in train for text in image.captions]
    frequent = captions[baselines.most_frequent([text.lower() for text in captions])]
    drawn = [captions[i] for i in baselines.random_reports(count, len(captions)).tolist()]
    return {
        "constant": [candidates[baselines.best_constant(candidates, sample)]] * count,
        "frequent": tokenize([frequent]) * count,
        "random": tokenize(drawn),
    }


def _measure(
    metrics: CaptionMetrics, references: Sequence[Sequence[str]], texts: Sequence[str], resamples: int
) -> dict[str, Figure]:
    """Text metrics and variety of prepared texts."""
    draws = draw_studies(len(texts), resamples)
    figures = {
        name: figure for some in metrics.measure(references, texts) for name, figure in some.estimate(draws).items()
    }
    return figures | {
        name: figure
        for name, figure in variety(texts, np.zeros(len(texts), bool)).items()
        if name != "distinct, abnormal"
    }
