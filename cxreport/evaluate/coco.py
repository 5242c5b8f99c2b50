"""Evaluation on COCO: captions drafted from images, against those of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.datasets.coco import SPLIT_FILE, CocoImage, ShapeBox, read_boxes, read_captions
from cxreport.evaluate import baselines
from cxreport.evaluate.bootstrap import Figure, Systems, draw_studies, estimate_all
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_files_reported
from cxreport.evaluate.grounding.words import MappedImage, PointingFigures, pointing_game
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.tokens import CaptionTokenizer
from cxreport.evaluate.text.variety import variety
from cxreport.model.session import Model
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Report

MODEL, HUMAN, LIKE_HUMAN = "model", "human", "model, as human"
_SAMPLE = 2000
_SEED = 20141120


@dataclass(frozen=True)
class CocoSample:
    """Example of a caption."""

    image: str
    caption: str
    reference: str
    """The first one."""


@dataclass(frozen=True)
class CocoFigures:
    """Everything measured on images with captions."""

    name: str
    """Name of the folder."""
    split: str
    metrics: str
    """Versions of the text metrics."""
    words: str
    """Name of the tokenizer."""
    images: int
    references: int
    """References of all images together."""
    systems: Systems
    """Figures by system and metric. `HUMAN` is one reference of each image against its others, at a disadvantage to
    systems that are measured against them all; `LIKE_HUMAN` is the model against those others."""
    pointing: PointingFigures | None
    """None without boxes, without maps, or without a word that names a shape of its image."""
    samples: tuple[CocoSample, ...]
    """The first images, whatever their captions are like."""

    @property
    def signature(self) -> str:
        """Images, tokenizer and versions of metrics."""
        sizes = f"{self.images}, {self.references} references"
        return f"coco {self.name} {self.split} ({sizes}) | {self.words} | {self.metrics}"


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
    with missing_files_reported():
        train, val = read_captions(folder, "train"), read_captions(folder, "val")[: options.limit]
    boxes = read_boxes(folder)
    reading = ReadOptions().fitting(model.manifest.input_shape, every_pixel=True)
    drafted = draft(model, read_studies((image.path for image in val), reading), options, attention=bool(boxes))
    by_path = {report.study.sources[0]: report for report in drafted}
    reports = [by_path[str(image.path)] for image in val]
    texts = [" ".join(report.findings) for report in reports]
    scorer = CaptionScorer(CaptionMetrics(), CaptionTokenizer(), options.bootstrap)
    systems = scorer.score([image.captions for image in val], texts, train)
    return CocoFigures(
        name=folder.resolve().name,
        split=f"val of {SPLIT_FILE}" if (folder / SPLIT_FILE).exists() else "val",
        metrics=scorer.metrics.signature,
        words=scorer.tokenize.signature,
        images=len(val),
        references=sum(len(image.captions) for image in val),
        systems=systems,
        pointing=measure_pointing(val, reports, boxes, options.bootstrap),
        samples=tuple(
            CocoSample(image=image.path.name, caption=text, reference=image.captions[0])
            for image, text in zip(val[: options.samples], texts, strict=False)
        ),
    )


@dataclass(frozen=True)
class CaptionScorer:
    """Measurement of captions, all on the same words and resamples."""

    metrics: CaptionMetrics
    tokenize: CaptionTokenizer
    resamples: int
    """Resamples of the intervals."""

    def score(
        self, references: Sequence[Sequence[str]], captions: Sequence[str], train: Sequence[CocoImage]
    ) -> Systems:
        """Measure captions beside those of baselines and people.

        Args:
            references: captions of N images by people, one or more each.
            captions: N captions of the model.
            train: images whose captions the baselines take.
        """
        prepared = self._prepare(references)
        drafts = self.tokenize(captions)
        texts_by_system = {MODEL: drafts} | self._baselines(train, len(captions))
        systems = {name: self._measure(prepared, texts) for name, texts in texts_by_system.items()}
        rows = [i for i, texts in enumerate(prepared) if len(texts) > 1]
        if rows:
            rng = np.random.default_rng(_SEED)
            human = {i: int(rng.integers(len(prepared[i]))) for i in rows}
            remaining = [[text for j, text in enumerate(prepared[i]) if j != human[i]] for i in rows]
            systems[HUMAN] = self._measure(remaining, [prepared[i][human[i]] for i in rows])
            systems[LIKE_HUMAN] = self._measure(remaining, [drafts[i] for i in rows])
        return systems

    def _prepare(self, captions: Sequence[Sequence[str]]) -> list[list[str]]:
        """The captions of each image in prepared words."""
        words = iter(self.tokenize([text for texts in captions for text in texts]))
        return [[next(words) for _ in texts] for texts in captions]

    def _baselines(self, train: Sequence[CocoImage], count: int) -> dict[str, list[str]]:
        """Captions without a model, from the train split alone, in prepared words: baseline -> ``count`` texts.

        The constant is, of the captions of a sample of `_SAMPLE` images, the one that does best on this sample.
        """
        order = np.random.default_rng(_SEED).permutation(len(train))[:_SAMPLE]
        sample = self._prepare([train[i].captions for i in sorted(order.tolist())])
        candidates = [text for texts in sample for text in texts]
        captions = [text for image in train for text in image.captions]
        frequent = captions[baselines.most_frequent([text.lower() for text in captions])]
        random = [captions[i] for i in baselines.random_reports(count, len(captions)).tolist()]
        return {
            "constant": [candidates[baselines.best_constant(candidates, sample)]] * count,
            "frequent": self.tokenize([frequent]) * count,
            "random": self.tokenize(random),
        }

    def _measure(self, references: Sequence[Sequence[str]], texts: Sequence[str]) -> dict[str, Figure]:
        """Text metrics and variety of prepared texts."""
        draws = draw_studies(len(texts), self.resamples)
        figures = estimate_all(self.metrics.measure(references, texts), draws)
        varieties = variety(texts, np.zeros(len(texts), bool))
        return figures | {name: figure for name, figure in varieties.items() if name != "distinct, abnormal"}


def measure_pointing(
    images: Sequence[CocoImage], reports: Sequence[Report], boxes: dict[int, tuple[ShapeBox, ...]], resamples: int
) -> PointingFigures | None:
    """Play the pointing game with the maps of N reports of N images, where there are boxes and maps."""
    maps = [tuple(s.map for s in report.sentences if s.map is not None) for report in reports]
    if not boxes or not any(maps):
        return None
    mapped = []
    for image, of_report in zip(images, maps, strict=True):
        with Image.open(image.path) as picture:
            size = picture.height, picture.width
        mapped.append(MappedImage(maps=of_report, boxes=boxes.get(image.id, ()), size=size))
    return pointing_game(mapped, resamples)
