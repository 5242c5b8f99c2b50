"""Content: what a sentence says, compared with what its topic is planned to say."""

from __future__ import annotations

from collections.abc import Sequence

from cxreport.text.lexicon import Lexicon, Status
from cxreport.types import Certainty, PlannedTopic

_STATUS: dict[Certainty, Status] = {
    Certainty.STATED: "present",
    Certainty.POSSIBLE: "uncertain",
    Certainty.ABSENT: "absent",
}


def planned_statuses(topic: PlannedTopic, names: Sequence[str]) -> dict[str, Status]:
    """Status of each reporting tag of a topic, as `Lexicon.read_tags` has it of a sentence that keeps to it."""
    return {names[tag]: _STATUS[topic.certainty] for tag in topic.tags}


def says(lexicon: Lexicon, text: str, topic: PlannedTopic, names: Sequence[str]) -> bool:
    """True for a sentence that says what is planned and no more: no other tag, and no detail that is not planned.

    Args:
        lexicon: that reads the sentence.
        text: of the sentence.
        topic: what it is planned to say.
        names: of the reporting tags.
    """
    if lexicon.read_tags(text) != planned_statuses(topic, names):
        return False
    return lexicon.details(text) <= topic.details


def plain_text(lexicon: Lexicon, topic: PlannedTopic, names: Sequence[str]) -> str:
    """A plain sentence for a topic that tells a tag."""
    name = names[topic.tags[0]]
    return (
        lexicon.possible_sentences(name)[0] if topic.certainty is Certainty.POSSIBLE else lexicon.plain_sentence(name)
    )
