"""Print how far the rule labeler agrees with CheXbert on the Impressions of Open-I.

python scripts/labeler_scores.py ../shared/data/openi

The folder holds ``ecgen-radiology/<uid>.xml``, ``chexbert_labels.csv`` (uid and 14 classes: 1, -1, 0) and
``r2gen_split.json``. The rules were written with the other reports in sight; those of val were only scored. F1 of
"not 0" against 0 counts uncertain as positive; "stated" is F1 of "1" against the rest. Each is printed for the
Impressions as they are and wrapped at 79 columns. Many val Impressions are among the others word for word, so val is
printed again without these. At the end whole reports, with their Indication and Comparison, against their Findings and
Impression labelled apart. Needs no extra.
"""

from __future__ import annotations

import csv
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from cxreport.datasets.openi import read_reports, split_reports
from cxreport.text.labeler import CLASSES, label

COLUMNS = 79


def main(folder: Path) -> None:
    """Score the Impressions of each split and print their tables; then whole reports."""
    splits = split_reports(read_reports(folder), folder)
    train, val = ({report.uid: report.impression for report in split} for split in splits)
    with (folder / "chexbert_labels.csv").open(newline="") as stream:
        expected = {int(row["uid"]): {c: int(float(row[c])) for c in CLASSES} for row in csv.DictReader(stream)}
    seen = {_words(text) for text in train.values()}
    new = {uid: text for uid, text in val.items() if _words(text) not in seen}
    for title, texts in (("Seen", train), ("Val", val), ("Val, new texts only", new)):
        known = {uid: text for uid, text in texts.items() if uid in expected}
        print(f"## {title}, {len(known)} Impressions\n")
        print_table([(label(text), expected[uid]) for uid, text in known.items()])
        for written, wrapped in (("as they are", known), ("wrapped", {u: _wrapped(t) for u, t in known.items()})):
            print_f1s(written, [(label(text), expected[uid]) for uid, text in wrapped.items()])
        print()
    print_whole(folder)


def print_f1s(title: str, pairs: list[tuple[dict[str, int], dict[str, int]]]) -> None:
    """Print micro and macro F1, with uncertain as positive and with stated alone."""
    for name, positive in (("not 0", lambda value: value != 0), ("stated", lambda value: value == 1)):
        micro, macro = f1s([counts(pairs, c, positive) for c in CLASSES])
        print(f"\n{title}, {name}: micro-F1 {micro:.3f}, macro-F1 {macro:.3f}")


def print_whole(folder: Path) -> None:
    """Print for how many whole reports, wrapped, any class differs from Findings and Impression labelled apart."""
    number = differing = 0
    for path in (folder / "ecgen-radiology").glob("*.xml"):
        elements = ElementTree.parse(path).getroot().iter("AbstractText")
        sections = {str(e.get("Label")): text for e in elements if (text := (e.text or "").strip())}
        if apart := [label(sections[name]) for name in ("FINDINGS", "IMPRESSION") if name in sections]:
            number += 1
            differing += label(_report(sections)) != _joined(apart)
    print(f"## Whole reports\n\n{number} reports, {differing} with other labels than their sections")


def _report(sections: Mapping[str, str]) -> str:
    return "\n\n".join(_wrapped(f"{title}: {text}") for title, text in sections.items())


def _joined(apart: list[dict[str, int]]) -> dict[str, int]:
    """Labels of sections together: stated before uncertain before 0; No Finding where all say so."""
    together = {name: max((labels[name] for labels in apart), key=(0, -1, 1).index) for name in CLASSES}
    return together | {CLASSES[0]: min(labels[CLASSES[0]] for labels in apart)}


def _wrapped(text: str) -> str:
    return textwrap.fill(text, COLUMNS)


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
