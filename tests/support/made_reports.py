"""Sentences of reports, made without a model."""

from __future__ import annotations

from cxreport.sentences import Assertion, Band, Sentence, Statement
from cxreport.types import Section


def made_sentences(findings: tuple[str, ...] = (), impression: tuple[str, ...] = ()) -> tuple[Sentence, ...]:
    """Free sentences without statements, Findings first."""
    sections = {Section.FINDINGS: findings, Section.IMPRESSION: impression}
    return tuple(Sentence(section, text) for section, texts in sections.items() for text in texts)


def stating(text: str, section: Section = Section.FINDINGS, /, **probabilities: float | None) -> Sentence:
    """A sentence that states tags, an underscore for a space, with their probabilities."""
    statements = [
        Statement(name.replace("_", " "), Assertion.PRESENT, (), probability, Band.PRESENT)
        for name, probability in probabilities.items()
    ]
    return Sentence(section, text, statements=tuple(statements))
