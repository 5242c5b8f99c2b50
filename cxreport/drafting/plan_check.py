"""Mends the sentences of a section so that they keep to the plan; each keeps the topic that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxreport.text import lexicon
from cxreport.types import Repairs, SentenceIds


@dataclass(frozen=True)
class Line:
    """A sentence on its way into a section."""

    text: str
    planned: bool
    """Whether it was planned to tell a tag."""
    origin: SentenceIds | None
    """What it was written from; None for a plain sentence."""
    tag: str = ""
    """That a plain sentence tells."""


def mended(
    written: Sequence[Line], told: Sequence[str], due: Sequence[str], places: Mapping[str, float] | None
) -> tuple[list[Line], Repairs]:
    """The sentences of a section that keeps to its plan: none contradicts it, and all tags that are due are told.

    Args:
        written: the sentences as decoded.
        told: tags that the report is planned to tell.
        due: those that this section has to tell.
        places: where the section speaks of each tag; None keeps the order.
    """
    fitting = [line for line in written if _fits(lexicon.read_tags(line.text), line.planned, told)]
    kept = _arranged(fitting, places)
    stated = lexicon.affirmed(" ".join(line.text for line in kept))
    added = [Line(lexicon.plain_sentence(tag), True, None, tag) for tag in due if tag not in stated]
    if added:
        kept = _arranged(fitting + added, places)
    return kept, Repairs(len(written) - len(fitting), len(added))


def _arranged(lines: Sequence[Line], places: Mapping[str, float] | None) -> list[Line]:
    """Leave out what denies again what is denied; the first place of what a sentence mentions says where it stands."""
    kept: list[tuple[float, Line]] = []
    denied = set[str]()
    for line in lines:
        tags = lexicon.read_tags(line.text)
        if not line.planned and tags and tags.keys() <= denied:
            continue
        denied |= {tag for tag, status in tags.items() if status == "absent"}
        place = min((places[tag] for tag in tags if tag in places), default=1.0) if places else 0.0
        kept.append((place, line))
    return [line for _, line in sorted(kept, key=lambda one: one[0])]


def _fits(tags: Mapping[str, lexicon.Status], planned: bool, told: Sequence[str]) -> bool:
    """Whether a sentence keeps to the plan: a planned one states planned tags only, a free one contradicts none."""
    stated = {tag for tag, status in tags.items() if status != "absent"}
    if planned:
        return bool(stated) and stated <= set(told)
    return not stated - set(told) and not (tags.keys() - stated) & set(told)
