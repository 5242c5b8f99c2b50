"""Half precision where the processor has units for it."""

from __future__ import annotations

import torch


def autocast() -> torch.autocast:
    """Matrix products and convolutions in bfloat16, unless this CPU would emulate it, slowly."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported())
