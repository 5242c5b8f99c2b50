"""Plan check: sentences of a section are left out and added so that it keeps to the plan, and says nothing twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxreport.drafting.content import plain_text, says
from cxreport.text.lexicon import Lexicon
from cxreport.types import Certainty, Detail, PlannedTopic, Repairs, SentenceIds


@dataclass(frozen=True)
class WrittenSentence:
    """Sentence of a section, in words."""

    text: str
    origin: SentenceIds | None
    """Decoded sentence that it was written from; None for a plain sentence."""
    tag: str = ""
    """Reporting tag that a plain sentence tells; empty for one that tells none."""

    @property
    def planned(self) -> bool:
        """True where it was planned to tell a tag."""
        return self.origin is None or self.origin.planned is not None


@dataclass(frozen=True)
class PlanCheck:
    """Plan of a section, and the lexicon that reads what sentences say."""

    lexicon: Lexicon
    names: Sequence[str]
    """Of the reporting tags."""
    told: Mapping[str, PlannedTopic]
    """Tags that the report is planned to tell, by name."""
    required: Sequence[str]
    """Tags that this section has to tell."""
    deniable: frozenset[str]
    """Tags that a sentence may deny."""
    exact: bool
    """True where each sentence has to say what its topic is planned to say, and no more."""
    places: Mapping[str, float] | None = None
    """Place in the section where each tag is usually mentioned, 0 to 1; None for an Impression."""
    findings: Sequence[str] | None = None
    """Sentences of the Findings, for an Impression; None for Findings."""

    def repair(self, sentences: Sequence[WrittenSentence]) -> tuple[list[WrittenSentence], Repairs]:
        """Make a section keep to its plan: no sentence contradicts it, and all required tags are told."""
        consistent = [sentence for sentence in sentences if self._passes(sentence)]
        section = self._arranged(consistent)
        affirmed = self.lexicon.affirmed(" ".join(sentence.text for sentence in section))
        missing = [tag for tag in self.required if tag not in affirmed]
        if missing:
            plain = [
                WrittenSentence(plain_text(self.lexicon, self.told[t], self.names), origin=None, tag=t) for t in missing
            ]
            section = self._arranged(consistent + plain)
        return section, Repairs(removed=len(sentences) - len(consistent), added=len(missing))

    def _passes(self, sentence: WrittenSentence) -> bool:
        """True where a planned sentence keeps to its plan, or a free one contradicts none and denies no more."""
        topic = None if sentence.origin is None else sentence.origin.topic
        if self.exact and topic is not None:
            keeps = says(self.lexicon, sentence.text, topic, self.names)
            return keeps and self._adds_no_detail(sentence.text)
        tags, told = self.lexicon.read_tags(sentence.text), self.told.keys()
        affirmed = {tag for tag, status in tags.items() if status != "absent"}
        if sentence.planned:
            as_sure = all(
                tags[tag] == "uncertain" for tag in affirmed & told if self.told[tag].certainty is Certainty.POSSIBLE
            )
            return bool(affirmed) and affirmed <= told and as_sure and self._adds_no_detail(sentence.text)
        denied = (tags.keys() - affirmed) & set(self.names)  # of other tags the bundle has nothing to go by
        if self.findings is not None and self.required and denied and not affirmed:
            return False  # "No acute disease." beside a finding
        return not affirmed - told and denied <= self.deniable - told

    def _adds_no_detail(self, text: str) -> bool:
        """False for a sentence of an Impression with a side, place or degree of a tag that Findings do not give it."""
        if self.findings is None:
            return True
        affirmed = self.lexicon.affirmed(text)
        given = {Detail.UNCERTAIN, Detail.PRIOR}
        for sentence in self.findings:
            if self.lexicon.affirmed(sentence) & affirmed:
                given |= self.lexicon.details(sentence)
        return self.lexicon.details(text) <= given

    def _arranged(self, sentences: Sequence[WrittenSentence]) -> list[WrittenSentence]:
        """Sentences in the order of the section, without free ones that repeat what is denied already.

        Findings go by the first place of their tags, an Impression by the urgency of what it tells; one that tells
        nothing is its first sentence alone.
        """
        places = self.places or {}
        placed: list[tuple[float, WrittenSentence]] = []
        denied = set[str]()
        for sentence in sentences:
            tags = self.lexicon.read_tags(sentence.text)
            if not sentence.planned and tags and tags.keys() <= denied:
                continue
            denied |= {tag for tag, status in tags.items() if status == "absent"}
            place = min((places[tag] for tag in tags if tag in places), default=1.0)
            placed.append((place if self.findings is None else self._urgency(sentence.text), sentence))
        if self.findings is not None and not self.required:
            return [sentence for _, sentence in placed[:1]]
        return [sentence for _, sentence in sorted(placed, key=lambda pair: pair[0])]

    def _urgency(self, text: str) -> int:
        """Rank of the most urgent tag that a sentence tells."""
        affirmed, order = self.lexicon.affirmed(text), self.lexicon.urgency
        return min((order.index(tag) for tag in affirmed if tag in order), default=len(order))
