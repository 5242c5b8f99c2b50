"""Files of a run folder; an interruption leaves each of them complete or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from cxreport.files import PartialFile

CONFIG_FILE = "config.toml"
"""The recipe."""
RUN_FILE = "run.json"
"""The finished run, as far as the weights do not tell."""
FEATURES_FILE = "features.pt"
"""Of the images that go with reports."""
LIMIT_LOGITS_FILE = "limit_logits.pt"
"""Of the images that limits of certainty are chosen on."""
TYPICALITY_FILE = "typicality.pt"
LIMITS_FILE = "limits.json"
"""Distances that are warned of and refused."""


def weights_file(stage: str) -> str:
    """Name of the file with what a stage has learned."""
    return f"{stage}.pt"


def save_tensors(state: dict[str, Any], path: Path) -> None:
    """Save a state dict or a checkpoint."""
    with PartialFile(path) as partial:
        torch.save(state, partial)


def save_json(value: dict[str, Any], path: Path, indent: int | None = None) -> None:
    """Save figures."""
    with PartialFile(path) as partial:
        partial.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")
