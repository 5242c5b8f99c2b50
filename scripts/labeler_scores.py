"""Print how far the rule labeler agrees with CheXbert on the Impressions of Open-I.

python scripts/labeler_scores.py ../shared/data/openi

The folder holds ``ecgen-radiology/<uid>.xml`` and ``chexbert_labels.csv`` (uid and 14 classes: 1, -1, 0). The rules
were written with the first half of the reports in sight; the second half was only scored. Both halves are printed: F1
of "not 0" against 0, so uncertain counts as positive, and below it F1 of "1" against the rest. Many reports share an
Impression word for word, so the unseen half is printed again without the texts of the first. Needs no extra.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable
from pathlib import Path

from cxreport.datasets.openi import read_reports
from cxreport.text.labeler import CLASSES, label

SEED = 0


def main(folder: Path) -> None:
    """Score both halves and print their tables."""
    impressions = {report.uid: report.impression for report in read_reports(folder)}
    with (folder / "chexbert_labels.csv").open(newline="") as stream:
        expected = {int(row["uid"]): {c: int(float(row[c])) for c in CLASSES} for row in csv.DictReader(stream)}
    uids = sorted(expected.keys() & impressions.keys())
    random.Random(SEED).shuffle(uids)
    middle = len(uids) // 2
    rules, unseen = uids[:middle], uids[middle:]
    rule_texts = {_words(impressions[uid]) for uid in rules}
    new = [uid for uid in unseen if _words(impressions[uid]) not in rule_texts]
    for title, half in (("Rules half", rules), ("Unseen half", unseen), ("Unseen half, new texts only", new)):
        print(f"## {title}, {len(half)} Impressions\n")
        pairs = [(label(impressions[uid]), expected[uid]) for uid in half]
        print_table(pairs)
        micro, macro = f1s([counts(pairs, name, lambda value: value == 1) for name in CLASSES])
        print(f"\nstrict, 1 against -1 and 0: micro-F1 {micro:.3f}, macro-F1 {macro:.3f}\n")


def _words(text: str) -> str:
    return " ".join(text.lower().split())


def print_table(pairs: list[tuple[dict[str, int], dict[str, int]]]) -> None:
    """Print precision, recall and F1 of each class, and their micro and macro means."""
    print("| class | CheXbert | both | precision | recall | F1 |\n|---|---|---|---|---|---|")
    by_class = {name: counts(pairs, name, lambda value: value != 0) for name in CLASSES}
    for name, (both, ours, theirs) in by_class.items():
        cells = (both / max(1, ours), both / max(1, theirs), f1(both, ours, theirs))
        print(f"| {name} | {theirs} | {both} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    micro, macro = f1s(list(by_class.values()))
    print(f"| **micro** | | | | | **{micro:.3f}** |\n| **macro** | | | | | **{macro:.3f}** |")


def counts(
    pairs: list[tuple[dict[str, int], dict[str, int]]], name: str, positive: Callable[[int], bool]
) -> tuple[int, int, int]:
    """Count the texts where both are positive for a class, where ours is, and where CheXbert is."""
    signs = [(positive(ours[name]), positive(theirs[name])) for ours, theirs in pairs]
    return sum(a and b for a, b in signs), sum(a for a, _ in signs), sum(b for _, b in signs)


def f1(both: int, ours: int, theirs: int) -> float:
    """F1 from counts; 0 where neither is ever positive."""
    return 2 * both / max(1, ours + theirs)


def f1s(by_class: list[tuple[int, int, int]]) -> tuple[float, float]:
    """Micro-F1 of the pooled counts, and macro-F1 over the classes."""
    pooled = [sum(column) for column in zip(*by_class, strict=True)]
    return f1(pooled[0], pooled[1], pooled[2]), sum(f1(*class_counts) for class_counts in by_class) / len(by_class)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
