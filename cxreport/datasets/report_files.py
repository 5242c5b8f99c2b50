"""Collections of written reports: Open-I's XML, JSON Lines and CSV, read report by report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxreport.errors import InvalidTextError, StudyError, TrainingError, UnreadableFileError
from cxreport.reading.discover import FileKind, sniff
from cxreport.text.csv_rows import csv_rows
from cxreport.text.json_lines import bounded_lines, json_lines
from cxreport.types import Failure

__all__ = ["WrittenReport", "read_reports", "sort_paths"]

_SECTIONS = ("findings", "impression")
_TEXT = "text"
_HINT = "Give id with findings, impression or text."
_HEAD_BYTES = 512
_OPENI_FOLDER = "ecgen-radiology"


@dataclass(frozen=True)
class WrittenReport:
    """A report of a radiologist, not a drafted one."""

    id: str
    source: str
    """Path of the file that it came from, as the user gave it."""
    findings: str
    """The whole text where the file does not tell sections apart."""
    impression: str

    @property
    def text(self) -> str:
        """Findings and Impression; empty without both."""
        return " ".join(section for section in (self.findings, self.impression) if section)


def sort_paths(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Tell files with reports from what may be images, by their content.

    Args:
        paths: files and folders. A folder's XML files, or those in its ``ecgen-radiology``, are reports, and whatever
            images are below it are images.

    Returns:
        Files for `read_reports`, and files and folders for `study.read_studies`.
    """
    reports: list[Path] = []
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = [*path.glob("*.xml"), *(path / _OPENI_FOLDER).glob("*.xml")]
            reports += sorted(files, key=lambda file: (len(file.name), file.name))  # 2.xml before 10.xml
            images.append(path)
        else:
            (reports if _is_text(path) else images).append(path)
    return reports, images


def _is_text(path: Path) -> bool:
    """True for a file of text; a file that cannot be opened is none."""
    try:
        return sniff(str(path)) is FileKind.TEXT
    except UnreadableFileError:
        return False


def read_reports(paths: Iterable[Path]) -> Iterator[WrittenReport | Failure]:
    """Read reports, one at a time.

    A file is Open-I's XML (one report), JSON Lines or CSV with a header; its first character decides. JSON Lines are
    objects with ``id`` and ``findings`` or ``impression`` or ``text``, or records of `cxreport generate`. CSV has the
    same columns.

    Args:
        paths: files.

    Yields:
        A report, which may be empty, or a failure for a damaged file, line or row, in their order.
    """
    for path in paths:
        try:
            with path.open("rb") as stream:
                head = stream.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
            if head.startswith(b"<"):
                yield _read_xml(path)
            else:
                yield from _read_json(path) if head.startswith(b"{") else _read_csv(path)
        except OSError as error:
            yield _failure(path, UnreadableFileError(f"The file cannot be read: {error.strerror}."))


def _read_xml(path: Path) -> WrittenReport | Failure:
    """Read a file of Open-I."""
    from xml.etree import ElementTree

    from cxreport.datasets.openi import read_report

    try:
        report = read_report(path)
    except (ElementTree.ParseError, TrainingError, ValueError, LookupError):
        return _failure(path, InvalidTextError("The XML is damaged, or not a report of Open-I."))
    return WrittenReport(str(report.uid), str(path), report.findings, report.impression)


def _read_json(path: Path) -> Iterator[WrittenReport | Failure]:
    """Read JSON Lines; a line without an object is a failure."""
    with path.open("rb") as stream:
        for number, fields, is_too_long in json_lines(bounded_lines(stream)):
            if fields is None:
                message = "The line is too long." if is_too_long else "No JSON object."
                yield _failure(path, InvalidTextError(message), f"line {number}")
            else:
                yield _report(_flat(fields), path, f"line {number}")


def _flat(value: dict[str, Any]) -> Mapping[str, Any]:
    """Bring id and sections of a record of `cxreport generate` to where others have them."""
    study, report = value.get("study"), value.get("report")
    if isinstance(study, dict):
        return {**(report if isinstance(report, dict) else {}), "id": study.get("id")}
    return value


def _read_csv(path: Path) -> Iterator[WrittenReport | Failure]:
    """Read CSV; a row of another length than the header is damaged."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv_rows(stream, multiline=True)
        header = [name.strip().lower() for name in next((row.cells for row in rows if row.cells), [])]
        if "id" not in header or not {*_SECTIONS, _TEXT} & set(header) or len(set(header)) < len(header):
            message = "Neither an image, XML, JSON Lines nor CSV with columns for id and text."
            yield _failure(path, InvalidTextError(message, hint=_HINT))
            return
        for number, cells in rows:
            if cells is None:
                message = "The row is damaged: not as long as the header, or with a quote that nothing closes."
                yield _failure(path, InvalidTextError(message), f"row {number}")
            elif any(map(str.strip, cells)):
                yield _report(dict(zip(header, cells, strict=True)), path, f"row {number}")


def _report(fields: Mapping[str, Any], path: Path, position: str) -> WrittenReport | Failure:
    """Make a report of named fields; a missing or null section is empty."""
    id_ = fields.get("id")
    if not isinstance(id_, str | int) or isinstance(id_, bool) or not str(id_).strip():
        return _failure(path, InvalidTextError("There is no id.", hint=_HINT), position)
    texts = [fields.get(name) or "" for name in (*_SECTIONS, _TEXT)]
    if not all(isinstance(text, str) for text in texts):
        return _failure(path, InvalidTextError("A section is not text.", hint=_HINT), position)
    findings, impression, undivided = (" ".join(text.split()) for text in texts)
    if not findings and not impression:
        findings = undivided
    return WrittenReport(str(id_).strip(), str(path), findings, impression)


def _failure(path: Path, error: StudyError, position: str | None = None) -> Failure:
    """Failure of a file, or of a line or row in it."""
    return Failure(f"{path.name}, {position}" if position else path.name, (str(path),), error)
