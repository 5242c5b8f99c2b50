"""Clinical F1, precision and recall of 14 classes, read by one labeler from references and generated texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Rows, Statistics
from cxreport.text.labeler import CLASSES, label, label_tags

MAIN_CLASSES = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five that CheXpert (Irvin et al. 2019) and the papers after it compare."""
METRICS = ("F1-14 micro", "F1-14 macro", "F1-5 micro", "F1-5 macro")
_MAIN = [CLASSES.index(name) for name in MAIN_CLASSES]

Statements = NDArray[np.bool_]
"""(N, C): whether each text, plan or label states each class."""


@dataclass(frozen=True)
class ClassFigures:
    """Agreement of reports and references in one class."""

    positives: int
    """References that state the class."""
    precision: float
    recall: float
    f1: float


def read_classes(texts: Sequence[str]) -> Statements:
    """Label texts: (N, 14) classes that each states; an uncertain one counts as positive."""
    rows = {text: [bool(value) for value in label(text).values()] for text in set(texts)}
    return np.array([rows[text] for text in texts])


def planned_classes(plans: Sequence[frozenset[str]]) -> Statements:
    """Label plans: (N, 14) classes of the planned tags."""
    return np.array([list(label_tags(plan).values()) for plan in plans], bool)


def f1_statistics(truth: Statements, prediction: Statements) -> Statistics:
    """Micro and macro F1 over the 14 and the 5 main classes.

    A class that neither side has counts as 0 in a macro mean, so figures of sets that lack a class are low.
    """
    return Statistics(METRICS, confusion(truth, prediction), _averages)


def micro_f1_statistics(name: str, truth: Statements, prediction: Statements) -> Statistics:
    """Micro F1 over the classes of both (N, C)."""
    shape = 3, truth.shape[1]
    return Statistics((name,), confusion(truth, prediction), lambda sums: f1(sums.reshape(-1, *shape).sum(2))[:, None])


def micro_macro_statistics(name: str, truth: Statements, prediction: Statements) -> Statistics:
    """Micro and macro F1 over the classes of both (N, C), as ``name micro`` and ``name macro``."""
    shape = 3, truth.shape[1]

    def averages(sums: Rows) -> Rows:
        counts = sums.reshape(-1, *shape)
        return np.column_stack([f1(counts.sum(2)), f1(counts).mean(1)])

    return Statistics((f"{name} micro", f"{name} macro"), confusion(truth, prediction), averages)


def per_class(truth: Statements, prediction: Statements) -> dict[str, ClassFigures]:
    """Precision, recall and F1 of each class; 0 where no report states it, or no reference does."""
    figures = {}
    for i, name in enumerate(CLASSES):
        hits, answers, positives = (truth & prediction)[:, i].sum(), prediction[:, i].sum(), truth[:, i].sum()
        score = f1(confusion(truth[:, [i]], prediction[:, [i]]).sum(0, keepdims=True))[0]
        figures[name] = ClassFigures(
            positives=int(positives),
            precision=float(hits / max(1, answers)),
            recall=float(hits / max(1, positives)),
            f1=float(score),
        )
    return figures


def confusion(truth: Statements, prediction: Statements) -> Rows:
    """Hits, false alarms and misses of each study and class: (N, 3 * C), 0 or 1."""
    return np.concatenate([truth & prediction, prediction & ~truth, truth & ~prediction], axis=1).astype(np.float64)


def f1(counts: Rows) -> Rows:
    """F1 from hits, false alarms and misses (B, 3, ...): (B, ...); 0 where there are none."""
    hits, errors = counts[:, 0], counts[:, 1] + counts[:, 2]
    return np.asarray(2 * hits / np.maximum(2 * hits + errors, 1))


def _averages(sums: Rows) -> Rows:
    """F1 averages (B, 4), in the order of `METRICS`, from sums (B, 42)."""
    counts = sums.reshape(len(sums), 3, len(CLASSES))
    class_sets = (counts, counts[:, :, _MAIN])
    return np.column_stack([score for subset in class_sets for score in (f1(subset.sum(2)), f1(subset).mean(1))])
