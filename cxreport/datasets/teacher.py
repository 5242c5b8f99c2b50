"""Outputs of other networks for images, and relabels: soft targets that an encoder can learn beside labels.

A table is a CSV file, gzipped or not, with a row per image and these columns:

- ``Image Index``: name of the image file;
- of each label ``logit_<label>`` or ``probability_<label>``: output of the teacher, empty where it has none;
- optionally ``re_<label>``: a second opinion on the label, 0 or 1, empty where there is none.

Other columns are passed over.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxreport.datasets.tables import table_rows
from cxreport.errors import TrainingError
from cxreport.types import Floats

__all__ = ["TeacherOutputs", "fill_by_labels", "read_teacher", "soft_labels"]

_NAME = "Image Index"
_LEAST_PROBABILITY = 1e-6
_HINT = "docs/training.md says which columns such a table has."


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """Outputs and relabels of N images, for T labels; NaN where there is none."""

    logits: Floats
    """(N, T)"""
    relabels: Floats
    """(N, T) 0 or 1"""


def read_teacher(paths: Iterable[Path], names: Iterable[str], labels: tuple[str, ...]) -> TeacherOutputs:
    """Look images up in tables of a teacher.

    Args:
        paths: of the tables; of an image in several of them the last row counts.
        names: of the N image files.
        labels: names of the T labels.

    Raises:
        TrainingError: a table without one of the columns, or with a value that is no output.
        FileNotFoundError: no such table.
    """
    rows: dict[str, tuple[Floats, Floats]] = {}
    for path in paths:
        rows |= _read_table(path, labels)
    unknown = np.full(len(labels), np.nan, np.float32)
    found = [rows.get(name, (unknown, unknown)) for name in names]
    logits, relabels = (np.array(part, np.float32).reshape(-1, len(labels)) for part in zip(*found, strict=True))
    return TeacherOutputs(logits, relabels)


def fill_by_labels(outputs: TeacherOutputs, labels: Floats) -> Floats:
    """Logits (N, T) without gaps: what is missing is the mean over the images with the same label and relabel.

    Where no image has both, the mean over those with the label; where none has that, over all.

    Args:
        outputs: of N images.
        labels: (N, T) 0 or 1 of the same images.

    Raises:
        TrainingError: a label without any output.
    """
    logits = outputs.logits.copy()
    known = ~np.isnan(logits)
    if not known.any(0).all():
        raise TrainingError("The teacher's tables have no output for some label of the training images.", hint=_HINT)
    opinions = np.nan_to_num(outputs.relabels, nan=-1.0)
    for n, t in np.argwhere(~known):
        same_label = known[:, t] & (labels[:, t] == labels[n, t])
        same = same_label & (opinions[:, t] == opinions[n, t])
        logits[n, t] = outputs.logits[next(m for m in (same, same_label, known[:, t]) if m.any()), t].mean()
    return logits


def soft_labels(labels: Floats, outputs: TeacherOutputs, weight: float, relabel_weight: float) -> Floats:
    """Targets (N, T) between 0 and 1: labels, relabels and a teacher's probabilities, blended.

    Args:
        labels: (N, T) 0 or 1.
        outputs: of the same images, without gaps in the logits.
        weight: of the teacher's probabilities; the labels have the rest.
        relabel_weight: share of the relabel in a label that has one.
    """
    relabelled = np.where(np.isnan(outputs.relabels), labels, outputs.relabels)
    blended = labels + relabel_weight * (relabelled - labels)
    probabilities = 1 / (1 + np.exp(-outputs.logits))
    return np.asarray((1 - weight) * blended + weight * probabilities, np.float32)


def _read_table(path: Path, labels: tuple[str, ...]) -> dict[str, tuple[Floats, Floats]]:
    """Image name -> logits (T,) and relabels (T,)."""
    content = path.read_bytes()
    try:
        reader = table_rows(content)
        columns = [_column(reader.fieldnames or (), label) for label in labels]
        return {
            row[_NAME]: (
                np.array([_logit(row[column], column) for column in columns], np.float32),
                np.array([_number(row.get(f"re_{label}")) for label in labels], np.float32),
            )
            for row in reader
        }
    except KeyError as error:
        raise TrainingError(f"{path}: no column {error.args[0]!r}.", hint=_HINT) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise TrainingError(f"{path}: not a table of a teacher's outputs ({error}).", hint=_HINT) from error


def _column(names: Iterable[str], label: str) -> str:
    """The column with a label's outputs."""
    candidates = [name for name in (f"logit_{label}", f"probability_{label}") if name in names]
    if not candidates or _NAME not in names:
        raise KeyError(f"logit_{label}" if _NAME in names else _NAME)
    return candidates[0]


def _logit(value: str, column: str) -> float:
    number = _number(value)
    if column.startswith("logit_"):
        return number
    if not (np.isnan(number) or 0 <= number <= 1):
        raise ValueError(f"{column} is {number}")
    bounded = np.clip(number, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return float(np.log(bounded / (1 - bounded)))


def _number(value: str | None) -> float:
    """NaN for an empty field."""
    number = float(value) if value else np.nan
    if np.isinf(number):
        raise ValueError(f"{value} is not a number")
    return number
