"""Reporting tags that a report states, once each, for documents that code them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxreport.sentences import Assertion, Statement
from cxreport.types import Detail

if TYPE_CHECKING:
    from cxreport.types import Report


@dataclass(frozen=True)
class StatedTag:
    """Reporting tag, as its sentences state it together. What they deny is none: a probability denies nothing."""

    name: str
    assertion: Assertion
    """That of the surest sentence: present or possible."""
    details: tuple[Detail, ...]
    """Of all sentences."""
    probability: float | None
    """Calibrated probability, 0 to 1; None without evidence."""
    texts: tuple[str, ...]
    """The sentences, each once."""

    @property
    def value(self) -> str:
        """Assertion and details, for a person."""
        return ", ".join((self.assertion, *self.details))


def stated_tags(report: Report) -> list[StatedTag]:
    """Gather the tags in the order in which the report first states them."""
    tellings: dict[str, list[tuple[Statement, str]]] = {}
    for sentence in report.sentences:
        for statement in sentence.affirmed:
            tellings.setdefault(statement.tag, []).append((statement, sentence.text))
    return [_stated(name, *zip(*told, strict=True)) for name, told in tellings.items()]


def one_line(text: str) -> str:
    """A text in one line without control characters, which neither XHTML nor HL7 may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _stated(name: str, statements: tuple[Statement, ...], texts: tuple[str, ...]) -> StatedTag:
    return StatedTag(
        name,
        Assertion.PRESENT if any(each.assertion is Assertion.PRESENT for each in statements) else Assertion.POSSIBLE,
        tuple(dict.fromkeys(detail for each in statements for detail in each.details)),
        next((each.probability for each in statements if each.probability is not None), None),
        tuple(dict.fromkeys(texts)),
    )
