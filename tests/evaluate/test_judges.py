"""Judges of the tag head other than the labels, against values by hand."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from cxreport.errors import UsageError
from cxreport.evaluate.judges import JudgeFiles, measure_judges, read_opinions
from cxreport.evaluate.tags import LabelledScores
from cxreport.train.fit.auc import average_ranks

NAMES = tuple(f"{i}.png" for i in range(12))
RISING = np.linspace(0.05, 0.95, 12, dtype=np.float32)


def head(labels: np.ndarray | None = None) -> LabelledScores:
    """A head that is surer of a mass, and less sure of a nodule, from image to image."""
    labels = np.zeros((12, 2), np.float32) if labels is None else labels
    thresholds = np.array([0.5, 0.99], np.float32)
    return LabelledScores(("Mass", "Nodule"), np.stack([RISING, RISING[::-1]], 1), labels, thresholds)


def teacher_table(path, relabelled=range(12)):
    rows = ["Image Index,logit_Mass,logit_Nodule,re_Mass,re_Nodule"]
    for i, name in enumerate(NAMES):
        relabels = f"{int(i >= 6)},{int(i % 2)}" if i in relabelled else ","
        rows.append(f"{name},{i * i},{i},{relabels}")
    path.write_text("\n".join(rows))
    return path


def test_relabels_and_a_teacher_by_hand(tmp_path) -> None:
    files = JudgeFiles(teacher=[teacher_table(tmp_path / "t.csv", range(2, 12))])
    figures = measure_judges(NAMES, head(), files, 50)
    assert figures.relabels is not None
    assert figures.relabels.images == 10
    assert figures.relabels.findings["Mass"].figures["AUC"].value == 1
    assert figures.relabels.findings["Mass"].at_threshold.ppv == 1
    assert figures.teacher is not None
    mass, nodule = figures.teacher.findings["Mass"], figures.teacher.findings["Nodule"]
    assert mass["rank"].value == pytest.approx(1)  # squares rise as the index does
    assert mass["linear"].value < 0.99
    assert nodule["rank"].value == pytest.approx(-1)
    assert figures.teacher.means["rank"].value == pytest.approx(0)
    assert nodule["rank"].low == pytest.approx(-1)


def test_without_relabels_or_without_a_teacher_there_are_none(tmp_path) -> None:
    figures = measure_judges(NAMES, head(), JudgeFiles(teacher=[teacher_table(tmp_path / "t.csv", ())]), 0)
    assert figures.relabels is None
    assert measure_judges(NAMES, head(), JudgeFiles(), 0).teacher is None


def test_radiologists_speak_of_nodule_or_mass_together(tmp_path) -> None:
    path = tmp_path / "opinions.csv.gz"
    rows = [f"{name},{'YES' if i in (0, 11) else 'NO'},{'YES'},7" for i, name in enumerate(NAMES[:11] + NAMES[11:])]
    path.write_bytes(gzip.compress("\n".join(["Image ID,Nodule or mass,Fracture,Patient ID", *rows]).encode()))
    labels = np.zeros((12, 2), np.float32)
    labels[0, 1] = labels[5, 0] = 1
    figures = measure_judges(NAMES, head(labels), JudgeFiles(radiologists=[path]), 50)
    (opinions,) = figures.radiologists
    assert list(opinions.findings) == ["Nodule or mass"]  # the head knows no fractures
    opinion = opinions.findings["Nodule or mass"]
    assert (opinion.images, opinion.positives) == (12, 2)
    assert opinion.auc.value == 1  # the first and the last image have the highest probability of either
    assert opinion.head.sensitivity == 0.5  # the mass is above its threshold, the nodule is not
    assert opinion.head.ppv == pytest.approx(1 / 6)
    assert opinion.labels.sensitivity == 0.5
    assert opinion.labels.ppv == 0.5


def test_ranks_are_shared_by_equal_values() -> None:
    assert average_ranks(np.array([3.0, 1.0, 3.0, 0.0])).tolist() == [3.5, 2, 3.5, 1]


@pytest.mark.parametrize(
    "content", [b"", b"Image Index,Mass\n1.png,perhaps\n", b"name,Mass\n1.png,YES\n", b"\x1f\x8bno", b"\xff\xfe\x00"]
)
def test_files_without_opinions(tmp_path, content) -> None:
    path = tmp_path / "opinions.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a table of radiologists' opinions"):
        read_opinions(path)


def test_missing_files(tmp_path) -> None:
    with pytest.raises(UsageError, match="not found"):
        measure_judges(NAMES, head(), JudgeFiles(teacher=[tmp_path / "none.csv"]), 0)
    with pytest.raises(UsageError, match="not found"):
        read_opinions(tmp_path / "none.csv")
