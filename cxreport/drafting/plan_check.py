"""Plan check: sentences of a section are left out and added so that it keeps to the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxreport.text.lexicon import Lexicon
from cxreport.types import Repairs, SentenceIds


@dataclass(frozen=True)
class Sentence:
    """Sentence of a section, in words."""

    text: str
    origin: SentenceIds | None
    """Decoded sentence that it was written from; None for a plain sentence."""
    tag: str = ""
    """Reporting tag that a plain sentence states."""

    @property
    def planned(self) -> bool:
        """Whether it was planned to state a tag."""
        return self.origin is None or self.origin.planned is not None


@dataclass(frozen=True)
class SectionPlan:
    """Plan of a section, in names of reporting tags."""

    tags: Sequence[str]
    """Tags that the report is planned to state."""
    required: Sequence[str]
    """Those that this section has to state."""
    places: Mapping[str, float] | None
    """Place in the section where each tag is usually mentioned, 0 to 1; None keeps the order of the sentences."""


def repair(lexicon: Lexicon, sentences: Sequence[Sentence], plan: SectionPlan) -> tuple[list[Sentence], Repairs]:
    """Make a section keep to its plan: no sentence contradicts it, and all required tags are stated.

    Args:
        lexicon: of the bundle; it says what a sentence states.
        sentences: as decoded.
        plan: of the section.
    """
    consistent = [sentence for sentence in sentences if _keeps_to(plan, sentence, lexicon)]
    section = _arranged(lexicon, consistent, plan.places)
    affirmed = lexicon.affirmed(" ".join(sentence.text for sentence in section))
    missing = [tag for tag in plan.required if tag not in affirmed]
    if missing:
        plain = [Sentence(lexicon.plain_sentence(tag), origin=None, tag=tag) for tag in missing]
        section = _arranged(lexicon, consistent + plain, plan.places)
    return section, Repairs(removed=len(sentences) - len(consistent), added=len(missing))


def _keeps_to(plan: SectionPlan, sentence: Sentence, lexicon: Lexicon) -> bool:
    """Whether a planned sentence states planned tags only, or a free one contradicts none."""
    tags, planned = lexicon.read_tags(sentence.text), set(plan.tags)
    affirmed = {tag for tag, status in tags.items() if status != "absent"}
    if sentence.planned:
        return bool(affirmed) and affirmed <= planned
    return not affirmed - planned and not (tags.keys() - affirmed) & planned


def _arranged(lexicon: Lexicon, sentences: Sequence[Sentence], places: Mapping[str, float] | None) -> list[Sentence]:
    """Order sentences by the first place of their tags, without free ones that repeat what is denied already."""
    placed: list[tuple[float, Sentence]] = []
    denied = set[str]()
    for sentence in sentences:
        tags = lexicon.read_tags(sentence.text)
        if not sentence.planned and tags and tags.keys() <= denied:
            continue
        denied |= {tag for tag, status in tags.items() if status == "absent"}
        place = min((places[tag] for tag in tags if tag in places), default=1.0) if places else 0.0
        placed.append((place, sentence))
    return [sentence for _, sentence in sorted(placed, key=lambda pair: pair[0])]
