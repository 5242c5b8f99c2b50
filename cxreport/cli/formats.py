"""Formats that a command line asks for: by name, or by the suffix of the file, and fit for the other options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cxreport.cli.errors import require_extra
from cxreport.errors import UsageError
from cxreport.output.destinations import names_folder
from cxreport.output.formats import FORMATS, OutputFormat

_OTHER_DOCUMENTS = {*(".tsv", ".xlsx", ".parquet", ".htm", ".xml", ".md", ".docx", ".rtf", ".yaml", ".yml", ".dcm")}
"""Suffixes that promise another document than a panel per study."""


def chosen_formats(names: Sequence[str] | None, json_lines: bool, out: str | None) -> tuple[OutputFormat, ...]:
    """Look the formats up, by the suffix of the file where none is named; ``--json`` is short for JSON Lines.

    Raises:
        UsageError: they exclude one another, or do not go where the output goes.
        MissingExtraError: the package that makes the documents is not installed.
    """
    names = list(dict.fromkeys(names or ()))
    if json_lines and names not in ([], ["jsonl"]):
        raise UsageError(f"--json and --format {names[0]} exclude one another.", hint="Use --format jsonl beside it.")
    if json_lines:
        names = ["jsonl"]
    rows = tuple(FORMATS[name] for name in names) or (_by_suffix(out),)
    folder = out is not None and names_folder(out)
    if len(rows) > 1 and not folder:
        raise UsageError("Several formats need a folder.", hint="Name it with --out DIR/: it gets their files.")
    for row in rows:
        if row.of_one_study and not row.suits_terminal and not out and sys.stdout.isatty():
            hint = f"Write it with --out FILE{row.suffix} or --out DIR/, or to a pipe."
            raise UsageError(f"--format {row.name} is not written to a terminal.", hint=hint)
        if row.extra:
            require_extra(f"--format {row.name}", row.extra, row.package)
    return rows


def require_format(
    option: str, rows: Sequence[OutputFormat], holds: Callable[[OutputFormat], bool], hint: str | None = None
) -> None:
    """Refuse an option whose output no format asked for can hold, and name the formats that can."""
    if not any(map(holds, rows)):
        names = " or ".join(row.name for row in FORMATS.values() if holds(row))
        raise UsageError(f"{option} goes with --format {names}.", hint=hint)


def _by_suffix(out: str | None) -> OutputFormat:
    """The format with the longest suffix that a file's name ends with; the first one of the table for other names."""
    name = Path(out).name.lower() if out and not names_folder(out) else ""
    rows = [row for row in FORMATS.values() if name.endswith(row.suffix)]
    if not rows and Path(name).suffix in _OTHER_DOCUMENTS:
        names = ", ".join(f"{row.name} ({row.suffix})" for row in FORMATS.values())
        hint = f"Formats: {names}. --format writes one of them under any name."
        raise UsageError(f"{out}: no output format has the suffix {Path(name).suffix}.", hint=hint)
    return max(rows, key=lambda row: len(row.suffix), default=next(iter(FORMATS.values())))
