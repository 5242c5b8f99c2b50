"""Output formats of drafted reports: text, a JSON array, or JSON Lines."""

from __future__ import annotations

import enum
import io
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from cxreport.model.manifest import Manifest
    from cxreport.types import Outcome

TEXT_FILE_WIDTH = 80


class Format(enum.StrEnum):
    """Output formats of `generate`."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


class Formatter(ABC):
    """Turns outcomes into pieces of a document."""

    suffix: str

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @abstractmethod
    def piece(self, outcome: Outcome, first: bool) -> str:
        """Format one outcome of a document; ``first`` tells whether it begins it."""

    def end(self, empty: bool) -> str:
        """Close a document, which may hold no outcome."""
        return ""


class TextFormatter(Formatter):
    """Panels; for a terminal with its width and colours, for files at a fixed width without."""

    suffix = ".txt"

    def __init__(self, manifest: Manifest, stream: TextIO | None = None) -> None:
        from rich.console import Console

        super().__init__(manifest)
        plain = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self._console = (
            Console(file=stream) if stream else Console(file=plain, width=TEXT_FILE_WIDTH, color_system=None)
        )

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Draw a panel, with an empty line before it unless it is the first."""
        from cxreport.output.render import render

        return ("" if first else "\n") + drawn(render(outcome, self._console), self._console)


class JsonLinesFormatter(Formatter):
    """A record per line."""

    suffix = ".jsonl"

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a record in one line."""
        return self._dump(outcome) + "\n"

    def _dump(self, outcome: Outcome, indent: int | None = None) -> str:
        """Write a record."""
        from cxreport.output.record import to_record

        return json.dumps(to_record(outcome, self._manifest), allow_nan=False, indent=indent)


class JsonFormatter(JsonLinesFormatter):
    """One array."""

    suffix = ".json"

    def piece(self, outcome: Outcome, first: bool) -> str:
        """Write a record as an element of the array."""
        return ("[\n" if first else ",\n") + self._dump(outcome, indent=2)

    def end(self, empty: bool) -> str:
        """Close the array."""
        return "[]\n" if empty else "\n]\n"


def drawn(content: RenderableType, console: Console) -> str:
    """Content as the console would show it; written by ourselves, as rich ends with an error on a closed pipe."""
    with console.capture() as capture:
        console.print(content)
    return capture.get()


def make_formatter(format_: Format, terminal: TextIO | None, manifest: Manifest) -> Formatter:
    """Choose the formatter."""
    match format_:
        case Format.TEXT:
            return TextFormatter(manifest, terminal)
        case Format.JSON:
            return JsonFormatter(manifest)
        case Format.JSONL:
            return JsonLinesFormatter(manifest)
