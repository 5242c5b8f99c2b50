"""Images with labels, of several collections: what the encoder learns from."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxreport.datasets import nih
from cxreport.datasets.nih import LabelledImages
from cxreport.datasets.teacher import TeacherOutputs, fill_by_labels, read_teacher, soft_labels
from cxreport.errors import TrainingError
from cxreport.train.config import TeacherConfig, TrainConfig
from cxreport.types import Floats


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """What a teacher makes of N training images with T labels."""

    labels: Floats
    """(N, T) between 0 and 1, to be learned in place of the labels."""
    logits: Floats
    """(N, T) of the teacher."""
    val_logits: Floats
    """(M, T) for the val images, to compare with; NaN where there are none."""


@dataclass(frozen=True)
class ImageSplits:
    """Images of a recipe, train and val at the size of the network."""

    tags: tuple[str, ...]
    """Names of the labels."""
    train: LabelledImages
    small: LabelledImages | None
    """For training too; their originals are smaller than the network input."""
    val: LabelledImages
    soft: SoftTargets | None = None
    """For the images of ``train``, then those of ``small``."""
    relabels: Floats | None = None
    """(N, T) second opinions of the images of ``train``, NaN where there is none; None without tables of a teacher."""
    val_relabels: Floats | None = None
    """(M, T) the same of the images of ``val``."""
    first: int = 0
    """Number of images of the first folder, whose findings are as frequent as in val; they come first."""

    @property
    def learned(self) -> LabelledImages:
        """All that are learned from: those of ``train``, then those of ``small``."""
        return self.train + self.small if self.small else self.train


def nih_images(config: TrainConfig, root: Path) -> ImageSplits:
    """The recipe's NIH folders; the first one's val list is for measuring.

    Raises:
        TrainingError: the recipe names no folder, or its teacher's tables are unusable.
    """
    size = config.encoder.size

    def split(folders: Sequence[str], name: str) -> list[LabelledImages]:
        return [nih.read_split(root / folder, name, size) for folder in folders]

    train, val, small = split(config.data.nih, "train"), split(config.data.nih[:1], "val"), config.data.nih_small
    if not train:
        raise TrainingError("The recipe names no NIH folder.")
    images = ImageSplits(
        tags=nih.FINDINGS,
        train=functools.reduce(operator.add, train),
        small=functools.reduce(operator.add, split(small, "train")) if small else None,
        val=val[0],
        first=len(train[0]),
    )
    return _taught(images, config.teacher, root) if config.teacher else images


def _taught(images: ImageSplits, teacher: TeacherConfig, root: Path) -> ImageSplits:
    """The images with the targets that a teacher gives them, and second opinions."""
    train = images.learned
    tables = [root / table for table in teacher.tables]
    outputs = read_teacher(tables, train.names + images.val.names, images.tags)
    count = len(train)
    known = TeacherOutputs(outputs.logits[:count], outputs.relabels[:count])
    filled = replace(known, logits=fill_by_labels(known, train.labels))
    labels = soft_labels(train.labels, filled, teacher.weight, teacher.relabel_weight)
    soft = SoftTargets(labels=labels, logits=filled.logits, val_logits=outputs.logits[count:])
    relabels = outputs.relabels
    return replace(images, soft=soft, relabels=relabels[: len(images.train)], val_relabels=relabels[count:])
