"""Turn the JSON Lines of ``cxreport generate`` into a CSV worklist: studies whose report tells more come first.

Usage: cxreport generate --json FOLDER | python examples/jsonl_to_worklist.py > worklist.csv

``told`` has what the report states with its probability, the most probable first; ``tags`` has the findings of the
classifier that reach their thresholds. Of records of schema 1, which have no sentences, the plan is taken as told.
"""

from __future__ import annotations

import csv
import json
import sys
from typing import Any

COLUMNS = ("study", "told", "tags", "impression", "error")
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""As of OWASP's page on CSV injection, with the wide forms that some spreadsheets take for the narrow ones."""


def told(record: dict[str, Any]) -> dict[str, float | None]:
    """Give the reporting tags that the report states, certain or not, with their probabilities."""
    if "sentences" not in record:
        return {planned["tag"]: planned["probability"] for planned in record.get("plan", [])}
    statements = [statement for sentence in record["sentences"] for statement in sentence["statements"]]
    return {s["tag"]: s["probability"] for s in statements if s["assertion"] != "absent"}


def as_text(cell: str) -> str:
    """Keep a text, such as the name of a file, on one line, and a spreadsheet from taking it for a formula."""
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(FORMULA_STARTS) else line


def row(record: dict[str, Any]) -> dict[str, str]:
    """Give the cells of a study."""
    tags = sorted(told(record).items(), key=lambda item: -(item[1] or 0))
    cells = {
        "study": record["study"]["id"],
        "told": "; ".join(tag if probability is None else f"{tag} {probability:.2f}" for tag, probability in tags),
        "tags": "; ".join(tag["name"] for tag in record.get("tags", []) if tag["positive"]),
        "impression": " ".join(record.get("impression", [])),
        "error": record.get("error", {}).get("message", ""),
    }
    return {column: as_text(cell) for column, cell in cells.items()}


records = [json.loads(line) for line in sys.stdin]
records.sort(key=lambda record: ("error" not in record, -len(told(record)), record["study"]["id"]))  # failures first
writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
writer.writeheader()
writer.writerows(map(row, records))
