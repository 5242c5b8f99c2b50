"""Files of a run that an interruption leaves whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors under a temporary name and put them in place."""
    partial = path.with_suffix(".tmp")
    torch.save(state, partial)
    partial.replace(path)
