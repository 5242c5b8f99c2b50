"""Dataset adapter for Open-I, the Indiana University chest X-rays (Demner-Fushman et al. 2016).

Layout: ``ecgen-radiology/<uid>.xml``, pictures under ``images/`` (PNG under their original names, or DICOM), and
optionally ``r2gen_split.json`` and ``chexnet_predictions.csv``.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import FINDINGS
from cxreport.errors import TrainingError
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Failure, Study

SPLIT_FILE = "r2gen_split.json"


@dataclass(frozen=True)
class OpeniReport:
    """One report with the names of its images."""

    uid: int
    findings: str
    impression: str
    mesh: tuple[str, ...]
    """Major MeSH headings without their qualifiers, such as ``Pleural Effusion``."""
    images: tuple[str, ...]
    """Image identifiers, such as ``CXR25_IM-1024-2001``."""


def read_reports(folder: Path) -> list[OpeniReport]:
    """All reports of ``ecgen-radiology`` by ascending uid.

    Raises:
        TrainingError: there are none.
    """
    reports = [read_report(path) for path in (folder / "ecgen-radiology").glob("*.xml")]
    if not reports:
        raise TrainingError(f"{folder}: no ecgen-radiology/*.xml")
    return sorted(reports, key=lambda r: r.uid)


def read_report(path: Path) -> OpeniReport:
    """Read one report.

    Raises:
        TrainingError: the file is XML without a ``uId``.
        ElementTree.ParseError: it is no XML.
        ValueError: its ``uId`` has no number.
        OSError: it cannot be opened.
    """
    root = ElementTree.parse(path).getroot()
    sections = {e.get("Label"): (e.text or "").strip() for e in root.iter("AbstractText")}
    headings = [e.text or "" for e in root.iter("major")]
    uid = root.find("uId")
    if uid is None:
        raise TrainingError(f"{path.name}: no uId")
    return OpeniReport(
        int(re.sub(r"\D", "", uid.get("id", ""))),
        sections.get("FINDINGS", ""),
        sections.get("IMPRESSION", ""),
        tuple(dict.fromkeys(h.split("/")[0].strip() for h in headings)),
        tuple(e.get("id", "") for e in root.iter("parentImage")),
    )


def split_reports(reports: list[OpeniReport], folder: Path) -> tuple[list[OpeniReport], list[OpeniReport]]:
    """Train and val after ``r2gen_split.json``; every report that the file does not name trains.

    Without the file every tenth report is val.
    """
    path = folder / SPLIT_FILE
    val = set(json.loads(path.read_text())["val"]) if path.exists() else {r.uid for r in reports[9::10]}
    return [r for r in reports if r.uid not in val], [r for r in reports if r.uid in val]


def read_evidence(folder: Path) -> dict[int, NDArray[np.float32]]:
    """CheXNet's probabilities (14,) in the order of `nih.FINDINGS`, averaged over the frontal images of each uid."""
    rows: defaultdict[int, list[list[float]]] = defaultdict(list)
    with (folder / "chexnet_predictions.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["projection"] == "Frontal":
                rows[int(row["uid"])].append([float(row[f]) for f in FINDINGS])
    return {uid: np.mean(values, axis=0).astype(np.float32) for uid, values in rows.items()}


def image_files(report: OpeniReport, folder: Path) -> list[Path]:
    """The files of a report's images that are there, as PNG or DICOM."""
    return [
        path
        for image in report.images
        for suffix in (".png", ".dcm", "")
        if (path := folder / "images" / f"{image}{suffix}").is_file()
    ]


def frontal_study(report: OpeniReport, folder: Path) -> Study | Failure | None:
    """The first of a report's images, its frontal one, read as inference reads it; None where there is none."""
    return next(iter(read_studies(image_files(report, folder)[:1], ReadOptions())), None)


def mesh_tags(reports: list[OpeniReport], least: int) -> tuple[str, ...]:
    """MeSH headings of at least ``least`` reports, the tags of a head trained on Open-I itself (Jing et al. 2018)."""
    counts = Counter(heading for report in reports for heading in report.mesh)
    skipped = {"normal", "No Indexing", "Technical Quality of Image Unsatisfactory"}
    return tuple(sorted(h for h, n in counts.items() if n >= least and h not in skipped))
