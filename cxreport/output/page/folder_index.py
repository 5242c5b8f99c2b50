"""Index of a folder of pages: each study with a thumbnail, to search and to filter."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from cxreport import DISCLAIMER
from cxreport.output.page import parts
from cxreport.text.printable import printable

INDEX_NAME = "index.html"
_ELEMENT = re.compile(rb'<script type="application/json" id="entry">(.*?)</script>', re.DOTALL)
_HEAD_SIZE = 1 << 16
"""Bytes of a page that are read for its entry, which stands before its style."""


@dataclass(frozen=True)
class Entry:
    """Study in the index, as its own page says it."""

    id: str
    failed: bool = False
    statements: tuple[tuple[str, str], ...] = ()
    """(tag, assertion) of what the report says."""
    warnings: int = 0
    """Number of them."""
    summary: str = ""
    """The Impression, or else the Findings; of a failure its reason."""
    thumbnail: str = ""
    """Address that holds a small picture; empty without an image."""

    @property
    def element(self) -> str:
        """Element of the study's page that holds it."""
        return f'<script type="application/json" id="entry">{parts.embedded_json(asdict(self))}</script>'


def folder_index(folder: Path) -> str:
    """Build the index of all pages of studies that a folder has, in the order of their names."""
    entries = list(_entries(folder))
    style = parts.base_style() + parts.asset(__package__, "index.css")
    script = parts.asset(__package__, "index.js")
    tags = sorted({tag for _, entry in entries for tag, _ in entry.statements})
    return Template(parts.asset(__package__, "index.html")).substitute(
        policy=parts.policy(style, script),
        style=style,
        disclaimer=html.escape(DISCLAIMER),
        count=len(entries),
        tags="".join(f"<option>{html.escape(tag)}</option>" for tag in tags),
        cards="\n".join(_card(name, entry) for name, entry in entries),
        script=script,
    )


def _entries(folder: Path) -> Iterator[tuple[str, Entry]]:
    for path in sorted(folder.glob("*.html")):
        if path.name != INDEX_NAME and (entry := _entry(path)) is not None:
            yield path.name, entry


def _entry(path: Path) -> Entry | None:
    """Entry in a page; None for a page of another kind."""
    try:
        with path.open("rb") as file:
            found = _ELEMENT.search(file.read(_HEAD_SIZE))
        fields: Any = json.loads(found[1]) if found else None
        statements = tuple((str(tag), str(assertion)) for tag, assertion in fields["statements"])
        thumbnail = str(fields["thumbnail"])
        return Entry(
            id=str(fields["id"]),
            failed=bool(fields["failed"]),
            statements=statements,
            warnings=int(fields["warnings"]),
            summary=str(fields["summary"]),
            thumbnail=thumbnail if thumbnail.startswith("data:image/") else "",
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _card(name: str, entry: Entry) -> str:
    """Item of the list: a link to the page, under it what the report comes to."""
    picture = (
        f'<img src="{html.escape(entry.thumbnail)}" alt="" loading="lazy" decoding="async" width="64" height="64">'
    )
    told = "; ".join(f"{tag} {assertion}" for tag, assertion in entry.statements if assertion != "absent")
    warned = f"warnings: {entry.warnings}" if entry.warnings else ""
    state = "; ".join(filter(None, ("failed" if entry.failed else "", warned)))
    statements = html.escape(json.dumps(entry.statements, separators=(",", ":")))
    return (
        f'<li data-statements="{statements}" data-state="{"failed" if entry.failed else "drafted"}" '
        f'data-warnings="{entry.warnings}">{picture if entry.thumbnail else "<span></span>"}<div>'
        f'<a href="{html.escape(quote(name))}">{html.escape(printable(entry.id))}</a>'
        f"{f' <strong>{state}</strong>' if state else ''}<p>{html.escape(printable(entry.summary))}</p>"
        f"{f'<p class=quiet>{html.escape(printable(told))}</p>' if told else ''}</div></li>"
    )
