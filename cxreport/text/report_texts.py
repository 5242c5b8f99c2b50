"""Report texts to label: JSON Lines, CSV and text files, with what the user's records say of where they came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from pathlib import PurePath
from typing import Any, BinaryIO

from cxreport.errors import InvalidTextError
from cxreport.sentences import Assertion
from cxreport.text.csv_rows import csv_rows
from cxreport.text.json_lines import MOST_LENGTH, bounded_lines, json_lines
from cxreport.text.labeler import label, label_statements
from cxreport.text.panels import read_panels
from cxreport.text.recorded_statements import recorded_statements
from cxreport.types import Failure

__all__ = ["Columns", "ReportText", "other_content", "read_csv", "read_text_file", "read_texts"]

PASSED_ON = ("source", "sources", "path", "file", "study", "study_id")
"""Fields of a line or row that say where its text came from; ``id`` is not among them, as every text has one."""
_SECTIONS = ("findings", "impression")
_COLUMNS_HINT = "Name the columns of the table with --id-column and --text-column."
_ARRAY = re.compile(rb"\s*\[\s*\{")


@dataclass(frozen=True)
class Columns:
    """Columns of a table, or fields of lines, that texts are read from."""

    id: str = "id"
    text: str = ""
    """Empty for ``text``, or else ``findings`` and ``impression``."""

    def of(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields with id and text under their usual names."""
        chosen = {"id": fields.get(self.id), **({"text": fields.get(self.text)} if self.text else {})}
        return {**fields, **chosen}

    def are_in(self, header: Sequence[str]) -> bool:
        """True for a header that has them, each once."""
        text = {self.text} if self.text else {"text", *_SECTIONS}
        return self.id in header and bool(text & set(header)) and len(set(header)) == len(header)

    def __str__(self) -> str:
        return f"{self.id} and {self.text or 'text'}"


USUAL_COLUMNS = Columns()


@dataclass(frozen=True)
class ReportText:
    """Text to label."""

    id: str | int
    text: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Those of `PASSED_ON` that the text came with, as they were."""
    statements: Mapping[str, Assertion] | None = None
    """What a drafted report is known to state, by reporting tag; None for a text that has to be read."""

    def labels(self) -> dict[str, int]:
        """Labels by what is known, or else by the text; see `label`."""
        return label(self.text) if self.statements is None else label_statements(self.statements)


def read_texts(lines: Iterable[bytes], source: str, columns: Columns = USUAL_COLUMNS) -> Iterator[ReportText | Failure]:
    """Read texts from JSON Lines in UTF-8: objects with ``id`` and ``text`` or sections, or records of `generate`.

    Of a record, the Findings and the Impression are the text; its sentences, where its schema has them, say what it
    states. Empty lines are passed over.

    Args:
        lines: as they come; each is read when it is asked for.
        source: what failures call the stream.
        columns: fields of the lines that have id and text.

    Yields:
        A text, or a failure for a line without one, in the order of the lines.
    """
    for line in json_lines(lines):
        if line.fields is None:
            fault = f"is longer than {MOST_LENGTH >> 20} MB" if line.is_too_long else "is no JSON object"
            yield _failure(None, f"Line {line.number}", source, fault)
        else:
            text = _read(columns.of(_flat(line.fields)), f"Line {line.number}", source)
            if isinstance(text, ReportText):
                text = replace(text, statements=recorded_statements(line.fields))
            yield text


def other_content(head: bytes) -> InvalidTextError | None:
    """Error for a stream that is something else than JSON Lines as a whole, whose every line would fail; else None.

    Args:
        head: first bytes of the stream, as many as there are at hand.
    """
    if _ARRAY.match(head):
        hint = "Write JSON Lines with `cxreport generate --json`, or turn the array into lines with `jq -c '.[]'`."
        return InvalidTextError("The file is one JSON array.", hint=hint)
    if b"\0" in head and not head.lstrip().startswith(b"{"):  # a line of a damaged disk may hold zeros, too
        return InvalidTextError("The file is no text.", hint="Label reports; `cxreport generate` reads images.")
    return None


def read_csv(stream: BinaryIO, source: str, columns: Columns = USUAL_COLUMNS) -> Iterator[ReportText | Failure]:
    """Read texts from CSV in UTF-8 with a header: columns ``id``, and ``text`` or ``findings`` and ``impression``.

    Args:
        stream: of the file; a row is read when it is asked for.
        source: its path.
        columns: those that have id and text, in any case.

    Yields:
        A text, or a failure for a row without one, in the order of the rows; one failure where a column is missing.
    """
    lines = bounded_lines(TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""))
    columns = Columns(columns.id.lower(), columns.text.lower())
    header: list[str] | None = None
    for number, cells in csv_rows(lines, multiline=True):
        row = f"Row {number}"
        if header is None:
            header = [name.strip().lower() for name in cells or []]
            if not columns.are_in(header):
                error = InvalidTextError(f"{row} is no header with columns {columns}, each once.", hint=_COLUMNS_HINT)
                yield Failure(row.lower(), (source,), error)
                return
        elif cells is None:
            yield _failure(None, row, source, "is not as long as the header, or has a quote that nothing closes")
        elif any(map(str.strip, cells)):
            fields = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
            yield _read(columns.of(fields), row, source)


def read_text_file(stream: BinaryIO, source: str) -> ReportText | Failure:
    """Read a file that is one report, in UTF-8 or a superset of ASCII; its name without suffix is the id.

    Of a panel of `cxreport generate`, the Findings and the Impression are the text.

    Args:
        stream: of the file; no more than the limit of lines is read of it.
        source: its path.
    """
    content = stream.read(MOST_LENGTH + 1)
    if len(content) > MOST_LENGTH:
        return Failure(source, (source,), InvalidTextError(f"The file is longer than {MOST_LENGTH >> 20} MB."))
    text = content.decode("utf-8-sig", errors="replace")
    if not text.strip() or "\0" in text:
        return Failure(source, (source,), InvalidTextError("The file has no text."))
    panels = read_panels(text.replace("\r\n", "\n"))
    if len(panels) > 1:
        hint = "Write records with `cxreport generate --json`, or a file per study with --out FOLDER/."
        return Failure(source, (source,), InvalidTextError(f"The file holds {len(panels)} studies.", hint=hint))
    if panels:
        text = panels[0]
        if not text:
            error = InvalidTextError("The file has no report.", hint="Its study failed, or was read with --tags-only.")
            return Failure(source, (source,), error)
    return ReportText(PurePath(source).stem, text, {"source": source})


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """Bring id, sources and sections of a record of `cxreport generate` to where other lines have them."""
    study, report = fields.get("study"), fields.get("report")
    if not isinstance(study, dict):
        return fields
    sections = report if isinstance(report, dict) else {}
    return {
        "id": study.get("id"),
        "sources": study.get("sources"),
        "error": fields.get("error"),
        **{name: sections.get(name) for name in _SECTIONS},
    }


def _read(fields: Mapping[str, Any], position: str, source: str) -> ReportText | Failure:
    """Text, id and origin of a line or row."""
    id_ = fields.get("id")
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        return _failure(None, position, source, "has no id")
    sections = [section for name in _SECTIONS if isinstance(section := fields.get(name), str) and section.strip()]
    text = fields.get("text") or "\n\n".join(sections)
    if not isinstance(text, str) or not text.strip():
        error = fields.get("error")
        reason = f": its study failed ({error.get('code')})" if isinstance(error, dict) else ""
        return _failure(id_, position, source, f"has no text{reason}")
    origin = {name: value for name in PASSED_ON if _names(value := fields.get(name))}
    return ReportText(id_, text, origin)


def _names(value: object) -> bool:
    """True for a name or number, or several of them."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(v, str | int) and not isinstance(v, bool) for v in values)


def _failure(id_: str | int | None, position: str, source: str, fault: str) -> Failure:
    name = position.lower() if id_ is None else str(id_)
    return Failure(name, (source,), InvalidTextError(f"{position} {fault}."))
