"""Statements of a record of `cxreport generate`, as its sentences have them since version 2 of the record's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cxreport.sentences import Assertion

__all__ = ["recorded_statements"]

_RANKS = {Assertion.ABSENT: 0, Assertion.POSSIBLE: 1, Assertion.PRESENT: 2}
_SECTIONS = ("findings", "impression")


def recorded_statements(record: Mapping[str, Any]) -> dict[str, Assertion] | None:
    """Read what the sentences of a record state and deny.

    Args:
        record: an object that may be a record, of any version.

    Returns:
        Reporting tag -> its most affirmative assertion; None where the record has no sentences, where they are not as
        its schema has them, or where the sections are no longer their text, as after a change by hand.
    """
    sentences, report = record.get("sentences"), record.get("report")
    if not sentences or not isinstance(sentences, list) or not isinstance(report, dict):
        return None
    texts: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    statements: dict[str, Assertion] = {}
    try:
        for sentence in sentences:
            texts[sentence["section"]].append(sentence["text"])
            for tag, assertion in _statements(sentence):
                if tag not in statements or _RANKS[assertion] > _RANKS[statements[tag]]:
                    statements[tag] = assertion
        unchanged = all(report.get(section) == " ".join(texts[section]) for section in _SECTIONS)
    except (KeyError, TypeError, ValueError):
        return None
    return statements if unchanged else None


def _statements(sentence: Mapping[str, Any]) -> Iterator[tuple[str, Assertion]]:
    """Tags and assertions of a sentence."""
    for statement in sentence["statements"]:
        tag = statement["tag"]
        if not isinstance(tag, str):
            raise TypeError(tag)
        yield tag, Assertion(statement["assertion"])
