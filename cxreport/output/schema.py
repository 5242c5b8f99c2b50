"""Pieces of JSON Schemas."""

from __future__ import annotations

from typing import Any


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
