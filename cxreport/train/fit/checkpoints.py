"""Files of a run that an interruption leaves whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cxreport.files import PartialFile


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors under a temporary name and put them in place."""
    with PartialFile(path) as file:
        torch.save(state, file)
