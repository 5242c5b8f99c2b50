"""Report text alone, as a report in a record stands: sections under their names, and that it is for research only."""

from __future__ import annotations

from cxreport import DISCLAIMER
from cxreport.text.printable import printable
from cxreport.types import Report


def plain_text(report: Report) -> str:
    """Write the sections of a report that has sentences.

    Returns:
        Paragraphs parted by an empty line: the Findings, the Impression with a numbered line per sentence, the notice.
    """
    paragraphs = []
    if report.findings:
        paragraphs.append("FINDINGS:\n" + " ".join(report.findings))
    if report.impression:
        items = [f"{number}. {text}" for number, text in enumerate(report.impression, start=1)]
        paragraphs.append("\n".join(["IMPRESSION:", *(items if len(items) > 1 else report.impression)]))
    lines = "\n\n".join([*paragraphs, DISCLAIMER]).split("\n")
    return "".join(f"{printable(line)}\n" for line in lines)
