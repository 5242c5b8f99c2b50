"""Plan check: sentences of a section are left out and added so that it keeps to the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxreport.text.lexicon import Lexicon
from cxreport.types import Repairs, SentenceIds


@dataclass(frozen=True)
class WrittenSentence:
    """Sentence of a section, in words."""

    text: str
    origin: SentenceIds | None
    """Decoded sentence that it was written from; None for a plain sentence."""
    tag: str = ""
    """Reporting tag that a plain sentence states."""

    @property
    def planned(self) -> bool:
        """True where it was planned to state a tag."""
        return self.origin is None or self.origin.planned is not None


@dataclass(frozen=True)
class PlanCheck:
    """Plan of a section in names of reporting tags, and the lexicon that reads tags off sentences."""

    lexicon: Lexicon
    tags: Sequence[str]
    """Tags that the report is planned to state."""
    required: Sequence[str]
    """Tags that this section has to state."""
    places: Mapping[str, float] | None
    """Place in the section where each tag is usually mentioned, 0 to 1; None keeps the order of the sentences."""

    def repair(self, sentences: Sequence[WrittenSentence]) -> tuple[list[WrittenSentence], Repairs]:
        """Make a section keep to its plan: no sentence contradicts it, and all required tags are stated."""
        consistent = [sentence for sentence in sentences if self._passes(sentence)]
        section = self._arranged(consistent)
        affirmed = self.lexicon.affirmed(" ".join(sentence.text for sentence in section))
        missing = [tag for tag in self.required if tag not in affirmed]
        if missing:
            plain = [WrittenSentence(self.lexicon.plain_sentence(tag), origin=None, tag=tag) for tag in missing]
            section = self._arranged(consistent + plain)
        return section, Repairs(removed=len(sentences) - len(consistent), added=len(missing))

    def _passes(self, sentence: WrittenSentence) -> bool:
        """True where a planned sentence states planned tags only, or a free one contradicts none."""
        tags, planned = self.lexicon.read_tags(sentence.text), set(self.tags)
        affirmed = {tag for tag, status in tags.items() if status != "absent"}
        if sentence.planned:
            return bool(affirmed) and affirmed <= planned
        return not affirmed - planned and not (tags.keys() - affirmed) & planned

    def _arranged(self, sentences: Sequence[WrittenSentence]) -> list[WrittenSentence]:
        """Sentences by the first place of their tags, without free ones that repeat what is denied already."""
        places = self.places or {}
        placed: list[tuple[float, WrittenSentence]] = []
        denied = set[str]()
        for sentence in sentences:
            tags = self.lexicon.read_tags(sentence.text)
            if not sentence.planned and tags and tags.keys() <= denied:
                continue
            denied |= {tag for tag, status in tags.items() if status == "absent"}
            placed.append((min((places[tag] for tag in tags if tag in places), default=1.0), sentence))
        return [sentence for _, sentence in sorted(placed, key=lambda pair: pair[0])]
