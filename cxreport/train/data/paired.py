"""Open-I reports with their own images, tagged by MeSH headings: the data of paired recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import LabelledImages
from cxreport.datasets.openi import OpeniReport, frontal_study, mesh_tags
from cxreport.errors import TrainingError
from cxreport.reading.network_input import network_input
from cxreport.train.config import TrainConfig
from cxreport.train.data.images import ImageSplits
from cxreport.train.data.targets import TargetReport
from cxreport.types import Study


def labelled_images(
    train_reports: list[OpeniReport], val_reports: list[OpeniReport], folder: Path, config: TrainConfig
) -> ImageSplits:
    """The images of both splits under their report's uid, with MeSH headings as tags.

    Raises:
        TrainingError: no image of the train or val reports is there, or no MeSH heading is frequent enough.
    """
    tags = mesh_tags(train_reports, config.data.mesh_least)
    if not tags:
        raise TrainingError(f"{folder}: no MeSH heading in {config.data.mesh_least} reports (data.mesh_least).")
    train, val = (_read(reports, folder, tags, config.encoder.size) for reports in (train_reports, val_reports))
    if not len(train):
        raise TrainingError(f"{folder}/images: none of the train reports' images is there.")
    return ImageSplits(tags=tags, train=train, small=None, val=val)


def _read(reports: list[OpeniReport], folder: Path, tags: tuple[str, ...], size: int) -> LabelledImages:
    """Each report's frontal image, by the reading and preprocessing of inference; reports without one are left out."""
    pixels, labels, names = [], [], []
    for report in reports:
        study = frontal_study(report, folder)
        if isinstance(study, Study) and study.view is not None:
            pixels.append(network_input(study.view.pixels, size))
            labels.append([t in report.mesh for t in tags])
            names.append(str(report.uid))
    shape = (len(pixels), size, size)
    return LabelledImages(
        np.array(pixels, np.uint8).reshape(shape), np.array(labels, np.float32).reshape(-1, len(tags)), tuple(names)
    )


def own_images(reports: list[TargetReport], names: list[str]) -> Callable[[np.random.Generator], list[int]]:
    """Every report's own image, -1 where it has none."""
    index = {name: i for i, name in enumerate(names)}
    partners = [index.get(str(r.uid), -1) for r in reports]
    return lambda _rng: partners


def report_targets(reports: list[TargetReport], names: tuple[str, ...], tags: tuple[str, ...]) -> NDArray[np.float32]:
    """(N, R) reporting tags that the reports of images, named by uid, affirm."""
    affirmed = {str(r.uid): r.tags for r in reports}
    return np.array([[t in affirmed.get(n, frozenset()) for t in tags] for n in names], np.float32)
