"""Pieces of JSON Schemas, and the numbers that they describe."""

from __future__ import annotations

from typing import Any, SupportsFloat

PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
"""Schema of a probability or weight, as `rounded` gives it."""


def rounded(probability: SupportsFloat) -> float:
    """Round a probability so that noise in the last bits does not show."""
    return round(float(probability), 4)


def object_(description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """Build the schema of an object whose properties are all there, and no others."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def array(description: str, items: dict[str, Any]) -> dict[str, Any]:
    """Build the schema of an array."""
    return {"type": "array", "description": description, "items": items}


def texts(description: str) -> dict[str, Any]:
    """Build the schema of an array of strings."""
    return array(description, {"type": "string"})
