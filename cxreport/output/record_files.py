"""Files of records, read one after the other: JSON Lines, JSON arrays, and folders of such files."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cxreport.errors import InvalidRecordError, UsageError
from cxreport.journal import Mark
from cxreport.output.drafting_model import RecordedModel
from cxreport.output.recorded import read_record
from cxreport.text.json_lines import MOST_LENGTH, bounded_lines, json_lines
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.types import Outcome

_SUFFIXES = (".json", ".jsonl")
_MOST_ARRAY = 16 * MOST_LENGTH
"""Longest array of records, in bytes: it is read as a whole, where JSON Lines are not."""
_ARRAY = re.compile(rb"\s*\[")
_NO_MODEL = RecordedModel("none", "", "", "")
_OTHER_MODEL = "The record was drafted by another model than those before it."


def read_records(paths: Iterable[str]) -> tuple[RecordedModel, Iterator[tuple[Outcome, Mark]]]:
    """Read records.

    Args:
        paths: files, folders, and ``-`` for stdin.

    Returns:
        The model that drafted the first report, and each outcome with its mark. A line that is no record is a failure
        in its place, and so is a record of another model: a document names one.

    Raises:
        UsageError: a file cannot be read.
    """
    outcomes = _outcomes(paths)
    before: list[tuple[Outcome, RecordedModel | None, str]] = []
    for entry in outcomes:
        before.append(entry)
        if entry[1] is not None:
            break
    model = next((model for _, model, _ in before if model is not None), _NO_MODEL)
    return model, _marked(itertools.chain(before, outcomes), model)


def _marked(
    entries: Iterable[tuple[Outcome, RecordedModel | None, str]], model: RecordedModel
) -> Iterator[tuple[Outcome, Mark]]:
    for place, (outcome, drafted_by, digest) in enumerate(entries):
        if not isinstance(outcome, Failure):
            study = outcome.study
            if drafted_by != model:
                error = InvalidRecordError(_OTHER_MODEL, hint="Render the records of each model apart.")
                outcome = Failure(study.id, study.sources, error)
        id_ = outcome.id if isinstance(outcome, Failure) else outcome.study.id
        yield outcome, Mark(digest, place, id_, alone=True)


def _outcomes(paths: Iterable[str]) -> Iterator[tuple[Outcome, RecordedModel | None, str]]:
    """Outcome, model and digest of each record."""
    for path in paths:
        for name, record in _records(path):
            digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:32]
            if isinstance(record, dict):
                try:
                    yield *read_record(record), digest
                    continue
                except InvalidRecordError as error:
                    reason = error
            else:
                reason = InvalidRecordError("This is no JSON object.")
            yield Failure(name, (path,), reason), None, digest


def _records(path: str) -> Iterator[tuple[str, Any]]:
    """Records of a place, each with a name for failures; None for what is no object."""
    if path == "-":
        yield from _of_stream(sys.stdin.buffer, "stdin")
        return
    files = [Path(path)]
    try:
        if Path(path).is_dir():
            files = sorted(file for file in Path(path).iterdir() if file.suffix.lower() in _SUFFIXES)
        for file in files:
            with file.open("rb") as stream:
                yield from _of_stream(stream, file.name)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error


def _of_stream(stream: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    lines = bounded_lines(stream)
    head = next(lines, b"")
    if not _ARRAY.match(head):
        for line in json_lines(itertools.chain([head], lines)):
            yield f"{name}, line {line.number}", line.fields
        return
    content = head + stream.read(_MOST_ARRAY - len(head) + 1)
    try:
        if len(content) > _MOST_ARRAY:
            raise ValueError
        records = json.loads(content)
    except (ValueError, RecursionError):
        yield name, None
        return
    for number, record in enumerate(records if isinstance(records, list) else [None], start=1):
        yield f"{name}, record {number}", record
