"""Turn the JSON Lines of ``cxreport generate`` into a CSV worklist: studies with more positive tags first.

Usage: cxreport generate --json FOLDER | python examples/jsonl_to_worklist.py > worklist.csv
"""

from __future__ import annotations

import csv
import json
import sys

FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""As of OWASP's page on CSV injection, with the wide forms that some spreadsheets take for the narrow ones."""


def as_text(cell: str) -> str:
    """Keep a text, such as the name of a file, on one line, and a spreadsheet from taking it for a formula."""
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(FORMULA_STARTS) else line


records = [json.loads(line) for line in sys.stdin]
rows = []
for record in records:
    positive = [tag["name"] for tag in record.get("tags", []) if tag["positive"]]
    rows.append(
        {
            "study": as_text(record["study"]["id"]),
            "positive": len(positive),
            "tags": as_text("; ".join(positive)),
            "impression": as_text(" ".join(record.get("impression", []))),
            "error": as_text(record.get("error", {}).get("message", "")),
        }
    )
rows.sort(key=lambda row: (not row["error"], -row["positive"], row["study"]))  # failures need a look first
writer = csv.DictWriter(sys.stdout, ["study", "positive", "tags", "impression", "error"], lineterminator="\n")
writer.writeheader()
writer.writerows(rows)
