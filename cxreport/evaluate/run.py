"""All that `cxreport evaluate` measures, with a signature that says how, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxreport import __version__
from cxreport.evaluate.coco import CocoFigures, evaluate_coco
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding.grounding import Grounding, evaluate_grounding
from cxreport.evaluate.nih import NihFigures, evaluate_nih
from cxreport.evaluate.openi import OpeniFigures, evaluate_openi
from cxreport.evaluate.retrieval import IMAGES, REPORTS, RetrievalFigures, evaluate_retrieval
from cxreport.model.session import Model


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured of a bundle."""

    signature: str
    openi: OpeniFigures | None
    nih: NihFigures | None
    coco: CocoFigures | None
    grounding: Grounding | None = None
    """Of the NIH images that have boxes."""
    retrieval: RetrievalFigures | None = None
    """Where both NIH images and Open-I reports are there, and the bundle has a text encoder."""


def evaluate(
    model: Model,
    openi: Path | None,
    nih: Sequence[Path],
    options: EvaluateOptions,
    coco: Path | None = None,
    boxes: Path | None = None,
) -> Evaluation:
    """Measure a bundle on one collection or several.

    Args:
        model: a loaded bundle.
        openi: folder of Open-I.
        nih: folders of NIH ChestX-ray14.
        options: how much is measured.
        coco: folder of COCO captions.
        boxes: file of boxes around findings on the NIH images.

    Raises:
        CxreportError: data are missing, the bundle does not fit them, or a study failed.
    """
    # before the drafting, which takes minutes: an unfit box file is told of at once
    grounding = evaluate_grounding(model, nih, boxes, options) if nih and boxes else None
    texts = evaluate_openi(model, openi, options) if openi else None
    images = evaluate_nih(model, nih, options) if nih else None
    captions = evaluate_coco(model, coco, options) if coco else None
    joint = model.manifest.embeds_texts
    retrieval = evaluate_retrieval(model, openi, nih, options) if openi and nih and joint else None
    signature = _signature(model, texts, images, captions, grounding, retrieval, options)
    return Evaluation(signature, texts, images, captions, grounding, retrieval)


def _signature(
    model: Model,
    texts: OpeniFigures | None,
    images: NihFigures | None,
    captions: CocoFigures | None,
    grounding: Grounding | None,
    retrieval: RetrievalFigures | None,
    options: EvaluateOptions,
) -> str:
    """What has to be the same for two evaluations to compare, in one line."""
    parts = []
    if texts:
        ways = "; ".join(f"{text.convention} ({text.studies}): {text.signature}" for text in texts.texts)
        parts += [f"openi {texts.split}", ways, texts.metrics, "labels lexicon rules, uncertain positive"]
    if images:
        parts.append("nih val " + ", ".join(f"{some.name} ({some.images})" for some in images.sets))
    if grounding:
        parts.append(grounding.signature)
    if retrieval:
        sizes = f"{retrieval.images} nih val images, {retrieval.reports} openi {retrieval.split} reports"
        parts.append(f"retrieval {sizes}, precision of {IMAGES} images and {REPORTS} reports, ties shared")
    if captions:
        parts.append(f"coco {captions.name} {captions.split} ({captions.images}, {captions.references} references)")
        parts += [captions.words, captions.metrics]
    limit = f", first {options.limit} only" if options.limit else ""
    manifest = model.manifest
    return " | ".join(
        [
            *parts,
            f"95 % of {options.bootstrap} resamples{limit}",
            f"cxreport {__version__}",
            manifest.identity,
        ]
    )


def to_json(value: Any) -> Any:
    """Dataclasses, arrays and numbers as what JSON has; nan as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
