"""Print the figures of the model card: the shipped bundle on val images of NIH ChestX-ray14.

python .ci/measure.py ../shared/data/nih ../shared/data/nih_extra

The first folder counts alone; further ones only in the second column of the tag table. Needs the train extra (it reads
the labels with the training code) and a few minutes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from cxreport import lexicon
from cxreport.bundle import find_bundle
from cxreport.pipeline import GenerateOptions, generate
from cxreport.session import Model
from cxreport.train.evidence import NIH_EVIDENCE, nih_targets
from cxreport.train.metrics import auc_per_tag
from cxreport.train.nih import FINDINGS, LabelledImages, read_split
from cxreport.types import Position, Report, Study, View, ViewInfo


def main(folders: list[Path]) -> None:
    """Measure and print."""
    model = Model.load(find_bundle(None), "cpu")
    splits = [read_split(folder, "val", model.manifest.image_size) for folder in folders]
    start = time.perf_counter()
    drafted = [_draft(model, split) for split in splits]
    seconds = (time.perf_counter() - start) / sum(map(len, drafted))
    print(f"{model.manifest.name} {model.manifest.version}, {seconds * 1000:.0f} ms per study\n")
    _tags(drafted, splits)
    reports, labels = drafted[0], splits[0].labels
    _texts(reports)
    _agreement(reports, labels)
    _samples(reports, labels)


def _draft(model: Model, images: LabelledImages) -> list[Report]:
    studies = (
        Study(name, (name,), View(ViewInfo(name, 0, Position.UNKNOWN), pixels))
        for name, pixels in zip(images.names, images.pixels, strict=True)
    )
    return [r for r in generate(model, studies, GenerateOptions(batch_size=32)) if isinstance(r, Report)]


def _tags(drafted: list[list[Report]], splits: list[LabelledImages]) -> None:
    scores = [np.array([[t.probability for t in r.tags] for r in reports]) for reports in drafted]
    sets = [(scores[0], splits[0].labels), (np.concatenate(scores), np.concatenate([s.labels for s in splits]))]
    aucs = [auc_per_tag(*one, FINDINGS) for one in sets]
    print("| finding | val positives | AUC | positives with nih_extra | AUC |\n|---|---|---|---|---|")
    for i, finding in enumerate(FINDINGS):
        counts = [int(labels[:, i].sum()) for _, labels in sets]
        cells = [f"{n} | {a.get(finding, float('nan')):.3f}" for n, a in zip(counts, aucs, strict=True)]
        print(f"| {finding} | {' | '.join(cells)} |")
    print(f"| **mean, at least 10 positives** | | **{aucs[0]['mean']:.3f}** | | **{aucs[1]['mean']:.3f}** |\n")


def _texts(reports: list[Report]) -> None:
    texts = Counter((r.findings, r.impression) for r in reports)
    words = Counter(w for f, i in texts for s in f + i for w in s.lower().strip(".").split())
    print(f"- distinct reports: {len(texts) / len(reports):.1%} ({len(texts)} of {len(reports)})")
    print(f"- the most frequent report is written for {texts.most_common(1)[0][1] / len(reports):.1%}")
    length = np.mean([len(r.findings + r.impression) for r in reports])
    print(f"- words used: {len(words)}; sentences per report: {length:.1f}")
    empty = sum(not r.findings or not r.impression for r in reports)
    print(f"- reports with an empty section: {empty}; without a plan: {sum(not r.plan for r in reports)}\n")


def _agreement(reports: list[Report], labels: np.ndarray) -> None:
    """Micro-F1 against the labels, on the classes that both vocabularies have; and what follows the plan."""
    names = tuple(NIH_EVIDENCE)
    truth = nih_targets(labels, names, FINDINGS) > 0
    written = [lexicon.affirmed(" ".join(r.findings + r.impression)) for r in reports]
    told = np.array([[n in w for n in names] for w in written])
    planned = np.array([[n in {p.tag for p in r.plan} for n in names] for r in reports])
    nothing, everything = np.zeros_like(truth), np.ones_like(truth)
    print("| against the NIH labels, 13 shared classes | micro-F1 |\n|---|---|")
    for row, guess in (("report", told), ("plan", planned), ("always all", everything), ("always none", nothing)):
        print(f"| {row} | {2 * (guess & truth).sum() / max(1, guess.sum() + truth.sum()):.3f} |")
    print(f"\n- planned tags that the report tells: {(told & planned).sum() / max(1, planned.sum()):.1%}")
    print(f"- told tags that were not planned: {(told & ~planned).sum() / max(1, told.sum()):.1%}\n")


def _samples(reports: list[Report], labels: np.ndarray) -> None:
    """The first val image of some labels, whatever its report is like."""
    for finding in ("Effusion", "Cardiomegaly", "Pneumothorax", "Emphysema", "No Finding"):
        wanted = np.array([finding == f for f in FINDINGS], np.float32)
        i = next(i for i, row in enumerate(labels) if np.array_equal(row, wanted))
        report = reports[i]
        plan = ", ".join(f"{p.tag} {p.probability:.2f}" for p in report.plan) or "none"
        print(f"**{report.study.id}**, label {finding}; plan: {plan}")
        print(f"> Findings: {' '.join(report.findings)}")
        print(f"> Impression: {' '.join(report.impression)}\n")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
