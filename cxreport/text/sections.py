"""Sections of a whole report: what it finds, and what was known or asked before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cxreport.text.sentences import marks_masked

__all__ = ["Kind", "ReportSection", "read_sections"]

Kind = Literal["body", "context", "addendum"]
_CONTEXT = (
    r"(?:relevant |pertinent |brief |past |present )?(?:clinical |medical |surgical |patient |social )?"
    r"(?:history|hx|information|indications?|data|details|statement|question|problem|context)(?: of present illness)?",
    r"indications?(?: for (?:the )?(?:exam|examination|study|procedure))?",
    r"reasons?(?: for)?(?: the| this)? ?(?:exam(?:ination)?|study|visit|consult(?:ation)?|procedure|order|referral|test"
    r"|request|x-?ray|chest x-?ray)?",
    r"(?:chief |presenting )?complaints?|(?:signs (?:and|&) )?symptoms?|(?:medical )?conditions?|pmhx?|hpi|allergies",
    r"(?:admitting|admission|referral|working|pre-?operative|provisional) diagnos[ie]s|medications?|diagnosis codes?",
    r"icd.{0,8}",
    r"comparisons?(?: (?:made|is made))?(?: stud(?:y|ies)| exams?(?:inations?)?| films?| radiographs?)?(?: to| with)?",
    r"(?:prior|previous|old) (?:stud(?:y|ies)|exams?(?:inations?)?|imaging|reports?|films?)|compared (?:to|with)",
    r"techniques?|procedures?(?: comments?| performed)?|protocol|views?|projections?|contrast|dose",
    r"(?:type of )?exam(?:ination)?s?(?: type| date| performed| description| name)?|stud(?:y|ies)(?: type| date)?",
    r"(?:date|time)(?: of (?:exam|examination|study|service|birth|dictation))?",
    r"accession(?: number)?|patient(?: name| id)?",
    r"(?:ordering|referring|attending|interpreting|reading) (?:physician|provider|radiologist|doctor|clinician)",
    r"(?:dictated|signed|electronically signed|reported|read|reviewed|transcribed|approved) (?:by|on)|radiologist",
    r"recommendations?|notifications?|communications?|follow-?up(?: recommendations?)?|disclaimer|attestation",
)
_BODY = (
    r"findings?(?: ?(?:and|/|&) ?(?:impressions?|conclusions?))?|results?",
    r"impressions?(?: ?(?:and|/) ?recommendations?)?",
    r"(?:final |radiolog\w+ )?(?:impressions?|diagnos[ie]s|conclusions?|opinion|report|interpretation)",
    r"(?:final |overall )?(?:assessment|summary)",
    r"(?:wet|preliminary|prelim|final) (?:read|report|impression)|observations?|discussion|descriptions?|comments?",
    r"(?:chest|lungs?|heart|cardiac|cardiomediastinum|mediastinum|hila|pleura|pleural spaces?|bones?|soft tissues?"
    r"|lines|tubes|devices|airways?|diaphragms?|abdomen|vasculature|musculoskeletal|upper abdomen|osseous)"
    r"(?:(?: |/|, | and | & )[a-z]+){0,3}",
)
_ADDENDUM = (r"addend(?:um|a)(?: (?:begins|number|no\.?)?)?(?: ?#?\d)?(?: to (?:the )?report)?",)
_NAMES: tuple[tuple[Kind, tuple[str, ...]], ...] = (("addendum", _ADDENDUM), ("body", _BODY), ("context", _CONTEXT))
_KINDS = tuple((kind, re.compile("|".join(f"(?:{name})" for name in names), re.IGNORECASE)) for kind, names in _NAMES)
_TITLE = r"[A-Za-z][A-Za-z#&/.,' \t\d-]{1,48}?"
_LABELLED = re.compile(rf"(?:^|(?<=[.?!;:)])[ \t]+)\W{{0,3}}({_TITLE})[ \t]*:\W{{0,2}}(?=[\s\w?]|$)", re.MULTILINE)
"""A title before a colon, where a line or a sentence begins."""
_ALONE = re.compile(rf"^[ \t]*\W{{0,3}}({_TITLE})\W{{0,3}}[ \t]*$", re.MULTILINE)
"""A title on a line of its own."""
_WITHIN = re.compile(
    r"(?<=\s)((?:FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|COMPARISONS?|TECHNIQUE|INDICATIONS?|HISTORY|ADDENDUM)"
    r"|(?:Findings?|Impressions?|Conclusions?|Comparisons?|Technique|Indications?|History|Addendum))[ \t]*:"
)
"""A title that nobody writes with a colon inside a sentence."""
_EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")


@dataclass(frozen=True)
class ReportSection:
    """Section of a report."""

    kind: Kind
    """``body`` for what the report finds, ``context`` for history, technique, comparison and the like."""
    title: str
    """As it stands in the report; empty for text before the first title, and after a context without one."""
    text: str


def read_sections(text: str) -> tuple[ReportSection, ...]:
    """Sections of a report, in their order; a text without titles is one body.

    Titles of organs and of other parts of the body belong to the text that they stand before. A paragraph without a
    title that follows a context section is body, as reports are often typed without the word Findings.

    Args:
        text: whole report, or one section of it.
    """
    text = marks_masked(text.replace("\r\n", "\n").replace("\r", "\n"))
    titles = list(_titles(text)) if ":" in text or "\n" in text else []
    sections = [ReportSection("body", "", text[: titles[0][0] if titles else len(text)])]
    ends = [start for start, _, _, _ in titles[1:]] + [len(text)][: len(titles)]
    for (start, stop, kind, title), end in zip(titles, ends, strict=True):
        if kind == "context":
            sections += _context(title, text[stop:end])
        else:
            sections.append(ReportSection(kind, title, text[start if _is_organ(title) else stop : end]))
    return tuple(section for section in sections if section.text.strip())


def _titles(text: str) -> Iterator[tuple[int, int, Kind, str]]:
    """Start, end, kind and words of each title that begins a section."""
    matches = {match.start(1): match for pattern in (_WITHIN, _ALONE, _LABELLED) for match in pattern.finditer(text)}
    end = 0
    for start, match in sorted(matches.items()):
        title = match[1].strip()
        kind = next((name for name, titles in _KINDS if titles.fullmatch(title)), None)
        alone = ":" not in match[0] and title != title.upper() and len(title.split()) > 1
        if kind and start >= end and not (alone or (":" not in match[0] and _is_organ(title))):
            end = match.end()
            yield start, end, kind, title


def _is_organ(title: str) -> bool:
    """True for the title of a part of the body, whose words are part of the statement ("Lines and tubes: None")."""
    return re.fullmatch(_BODY[-1], title, re.IGNORECASE) is not None


def _context(title: str, text: str) -> Iterator[ReportSection]:
    """A context section, and the body that follows it after an empty line without a title."""
    lead = len(text) - len(text.lstrip())
    gap = _EMPTY_LINE.search(text, lead)
    yield ReportSection("context", title, text[: gap.start() if gap else len(text)])
    if gap:
        yield ReportSection("body", "", text[gap.end() :])
