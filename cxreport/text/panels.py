"""Panels that `cxreport generate` writes as text, read back: the report without frame, tags, figures and warnings."""

from __future__ import annotations

import re

__all__ = ["read_panels"]

_PANEL = re.compile(r"^(?:╭─ [^\n]*╮|\+- [^\n]*\+)\n((?:│ [^\n]* │\n|\| [^\n]* \|\n)+)(?:╰─+╯|\+-+\+)$", re.MULTILINE)
"""A panel in Unicode or ASCII; its lines, with the frame at both ends."""
_SECTION = re.compile(r"(?:^|\n)\n(Findings|Impression)\n(.+?)(?=\n\n|$)", re.DOTALL)
"""A heading on a line of its own after an empty one, and what follows to the next empty line."""
_FIGURES = re.compile(r"\s+\[\d\.\d\d(?:,\s+\d\.\d\d)*\]")
"""Probabilities behind a sentence, which may be wrapped."""


def read_panels(text: str) -> tuple[str, ...]:
    """Texts of the reports in panels: Findings and Impression, each after its title.

    Args:
        text: whole content of a file, its lines ending in a line feed alone.

    Returns:
        A text per panel, empty for a panel without a report (a failure, or tags alone); nothing where the file has
        no panels.
    """
    return tuple(_report(panel[1]) for panel in _PANEL.finditer(text))


def _report(framed: str) -> str:
    """Sections of a panel as text with titles."""
    content = "\n".join(line[2:-2].rstrip() for line in framed.splitlines())
    sections = (f"{section[1]}:\n{_FIGURES.sub('', section[2])}" for section in _SECTION.finditer(content))
    return "\n\n".join(sections)
