"""Evaluation of a bundle on all collections, with a signature that says how it was measured, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxreport.evaluate.coco import CocoFigures, evaluate_coco
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding.run import Grounding, evaluate_grounding
from cxreport.evaluate.judges import NO_JUDGES, JudgeFiles
from cxreport.evaluate.nih import NihFigures, evaluate_nih
from cxreport.evaluate.openi import OpeniFigures, evaluate_openi
from cxreport.evaluate.retrieval import RetrievalFigures, evaluate_retrieval
from cxreport.model.session import Model


@dataclass(frozen=True)
class Collections:
    """Data folders to measure on; None, or empty, for a collection that is left out."""

    openi: Path | None = None
    nih: Sequence[Path] = ()
    """Folders of NIH ChestX-ray14."""
    coco: Path | None = None
    """Folder of captions in COCO's layout."""
    boxes: Path | None = None
    """File of boxes around findings on the NIH images."""
    judges: JudgeFiles = NO_JUDGES
    """Files of other opinions of the NIH images."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured of a bundle."""

    signature: str
    """Conditions that two evaluations have to share to be compared, in one line."""
    openi: OpeniFigures | None
    nih: NihFigures | None
    coco: CocoFigures | None
    grounding: Grounding | None = None
    """Figures of the NIH images that have boxes."""
    retrieval: RetrievalFigures | None = None
    """Figures of NIH images and Open-I reports together, by a bundle with a text encoder."""


def evaluate(model: Model, collections: Collections, options: EvaluateOptions) -> Evaluation:
    """Measure a bundle on one collection or several.

    Args:
        model: a loaded bundle.
        collections: to measure on.
        options: how much is measured.

    Raises:
        CxreportError: data are missing, the bundle does not fit them, or a study failed.
    """
    folder, folders, boxes = collections.openi, collections.nih, collections.boxes
    # before the drafting, which takes minutes: an unfit box file is reported at once
    grounding = evaluate_grounding(model, folders, boxes, options) if folders and boxes else None
    openi = evaluate_openi(model, folder, options) if folder else None
    nih = evaluate_nih(model, folders, options, collections.judges) if folders else None
    coco = evaluate_coco(model, collections.coco, options) if collections.coco else None
    embeds = folder and folders and model.manifest.embeds_texts
    retrieval = evaluate_retrieval(model, folder, folders, options) if folder and embeds else None
    measured = (openi, nih, grounding, retrieval, coco)
    signatures = [figures.signature for figures in measured if figures is not None]
    return Evaluation(
        signature=" | ".join([*signatures, options.signature, model.manifest.identity]),
        openi=openi,
        nih=nih,
        coco=coco,
        grounding=grounding,
        retrieval=retrieval,
    )


def to_json(value: Any) -> Any:
    """Turn dataclasses, arrays and numbers into what JSON has; nan into null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
