"""Images with labels, of several collections: what the encoder learns from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxreport.datasets import nih
from cxreport.datasets.nih import LabelledImages
from cxreport.errors import TrainingError
from cxreport.train.config import TrainConfig


@dataclass(frozen=True)
class ImageSplits:
    """Images of a recipe, train and val at the size of the network."""

    tags: tuple[str, ...]
    """Names of the labels."""
    train: LabelledImages
    small: LabelledImages | None
    """For training too; their originals are smaller than the network input."""
    val: LabelledImages


def nih_images(config: TrainConfig, root: Path) -> ImageSplits:
    """The recipe's NIH folders; the first one's val list is for measuring.

    Raises:
        TrainingError: the recipe names no folder.
    """
    size = config.encoder.size

    def split(folders: Sequence[str], name: str) -> LabelledImages | None:
        collections = [nih.read_split(root / folder, name, size) for folder in folders]
        return functools.reduce(lambda a, b: a + b, collections) if collections else None

    train, val = split(config.data.nih, "train"), split(config.data.nih[:1], "val")
    if train is None or val is None:
        raise TrainingError("The recipe names no NIH folder.")
    return ImageSplits(nih.FINDINGS, train, split(config.data.nih_small, "train"), val)
