"""What reports state, by one labeler for references and generated text: F1, precision and recall of 14 classes."""

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

Stated = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassFigures:
    """One class: in how many references it is positive, and how well the reports tell it."""

    positives: int
    precision: float
    recall: float
    f1: float


def read_classes(texts: Sequence[str]) -> Stated:
    """(N, 14) which classes each text states; an uncertain one counts as positive."""
    read = {text: [bool(value) for value in label(text).values()] for text in set(texts)}
    return np.array([read[text] for text in texts])


def planned_classes(plans: Sequence[frozenset[str]]) -> Stated:
    """(N, 14) which classes planned tags come to."""
    return np.array([list(label_tags(plan).values()) for plan in plans], bool)


def f1_statistics(truth: Stated, told: Stated) -> Statistics:
    """Micro and macro F1 over the 14 and the 5 main classes.

    A class that neither side has counts as 0 in a macro mean, so figures of sets that lack a class are low.
    """
    return Statistics(METRICS, confusion(truth, told), _averages)


def micro_f1_statistics(name: str, truth: Stated, told: Stated) -> Statistics:
    """Micro F1 over all the classes given (N, C)."""
    shape = 3, truth.shape[1]
    return Statistics((name,), confusion(truth, told), lambda sums: f1(sums.reshape(-1, *shape).sum(2))[:, None])


def micro_macro_statistics(name: str, truth: Stated, told: Stated) -> Statistics:
    """Micro and macro F1 over all the classes given (N, C), as ``name micro`` and ``name macro``."""
    shape = 3, truth.shape[1]

    def averages(sums: Rows) -> Rows:
        counts = sums.reshape(-1, *shape)
        return np.column_stack([f1(counts.sum(2)), f1(counts).mean(1)])

    return Statistics((f"{name} micro", f"{name} macro"), confusion(truth, told), averages)


def per_class(truth: Stated, told: Stated) -> dict[str, ClassFigures]:
    """Precision, recall and F1 of each class; 0 where nothing is told, or nothing is to be told."""
    figures = {}
    for i, name in enumerate(CLASSES):
        hits, stated, positives = (truth & told)[:, i].sum(), told[:, i].sum(), truth[:, i].sum()
        score = f1(confusion(truth[:, [i]], told[:, [i]]).sum(0, keepdims=True))[0]
        figures[name] = ClassFigures(
            int(positives), float(hits / max(1, stated)), float(hits / max(1, positives)), float(score)
        )
    return figures


def confusion(truth: Stated, told: Stated) -> Rows:
    """(N, 3 * C): hits, false alarms and misses of each study and class, as 0 or 1."""
    return np.concatenate([truth & told, told & ~truth, truth & ~told], axis=1).astype(np.float64)


def f1(counts: Rows) -> Rows:
    """(B, 3, ...) hits, false alarms and misses -> (B, ...); 0 where there are none."""
    hits, errors = counts[:, 0], counts[:, 1] + counts[:, 2]
    return np.asarray(2 * hits / np.maximum(2 * hits + errors, 1))


def _averages(sums: Rows) -> Rows:
    """(B, 42) -> (B, 4)."""
    counts = sums.reshape(len(sums), 3, len(CLASSES))
    sets = (counts, counts[:, :, _MAIN])
    return np.column_stack([score for some in sets for score in (f1(some.sum(2)), f1(some).mean(1))])
