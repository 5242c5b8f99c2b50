"""JSON of a sentence with its evidence, and its JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxreport.output.schema import PROBABILITY, array, object_, rounded

if TYPE_CHECKING:
    from cxreport.sentences import Sentence, SentenceMap
    from cxreport.types import Floats

__all__ = ["WEIGHTS", "sentence_record", "sentence_schema"]


def sentence_record(sentence: Sentence) -> dict[str, Any]:
    """Describe a sentence as `sentence_schema` has it; with ``map`` if it has one."""
    record: dict[str, Any] = {
        "section": str(sentence.section),
        "text": sentence.text,
        "origin": str(sentence.origin),
        "topic": sentence.topic,
        "statements": [
            {
                "tag": statement.tag,
                "assertion": str(statement.assertion),
                "details": [str(detail) for detail in statement.details],
                "probability": None if statement.probability is None else rounded(statement.probability),
                "band": str(statement.band),
            }
            for statement in sentence.statements
        ],
    }
    return record if sentence.map is None else record | {"map": _map(sentence.map)}


def _map(sentence_map: SentenceMap) -> dict[str, Any]:
    """Describe where a sentence and its words look."""
    attention = sentence_map.decoder_attention
    return {
        "weights": _grid(sentence_map.weights),
        "words": [{"word": word.word, "weights": _grid(word.weights)} for word in sentence_map.words],
        "decoder_attention": None if attention is None else _grid(attention),
    }


def _grid(weights: Floats) -> list[list[float]]:
    """Round a map."""
    return [[rounded(weight) for weight in row] for row in weights]


WEIGHTS = array(
    "Rows of patches from the top, each from image left, with a sum of 1.", {"type": "array", "items": PROBABILITY}
)
"""Schema of a map, the definition ``weights`` of the record's schema."""


def sentence_schema() -> dict[str, Any]:
    """Build the schema of a sentence; its maps refer to the definition ``weights``."""
    sentence = object_(
        "A sentence.",
        section={"enum": ["findings", "impression"]},
        text={"type": "string"},
        origin={
            "enum": ["planned", "free", "added"],
            "description": "planned: the decoder wrote it for its topic; free: it wrote it without one; added: "
            "a plain sentence for a planned tag that no sentence of the section stated.",
        },
        topic={
            "type": ["string", "null"],
            "description": "The reporting tag that it was planned or added for; null for a free sentence.",
        },
        statements=array("The reporting tags that it states or denies.", _statement_schema()),
    )
    sentence["properties"]["map"] = _map_schema()
    return sentence


def _statement_schema() -> dict[str, Any]:
    """Build the schema of a statement."""
    return object_(
        "A reporting tag that the sentence states or denies, and the evidence for it.",
        tag={"type": "string"},
        assertion={"enum": ["present", "possible", "absent"], "description": "What the sentence says of the tag."},
        details={
            "type": "array",
            "items": {"enum": ["left", "right", "upper", "lower", "mild", "marked"]},
            "description": "Side, place and degree that the sentence gives of it.",
        },
        probability={
            "description": "Calibrated probability that the tag is present, for denials too; null without evidence of "
            "the tag.",
            "anyOf": [PROBABILITY, {"type": "null"}],
        },
        band={
            "enum": ["present", "possible", "silent", "absent", "none"],
            "description": "What the probability allows the report to say: present flatly, possible with a hedge, "
            "absent that it is not there, silent neither; none without evidence.",
        },
    )


def _map_schema() -> dict[str, Any]:
    """Build the schema of a sentence's map, which it has only where that was asked for."""
    weights = {"$ref": "#/$defs/weights"}
    word = object_("A word, marks included.", word={"type": "string"}, weights=weights)
    return object_(
        "With --attention: which patches of the network's view of the image the sentence and its words speak of.",
        weights=weights,
        words=array("Words in the order of the text; parted by spaces they are the text.", word),
        decoder_attention={
            "description": "What the decoder attended to while it wrote, on its own, coarser grid; null for a sentence "
            "that it did not write.",
            "anyOf": [weights, {"type": "null"}],
        },
    )
