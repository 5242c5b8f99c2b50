"""Half precision where the processor has units for it."""

from __future__ import annotations

import torch


def has_bf16() -> bool:
    """Whether this CPU computes in bfloat16; without such units it would be emulated, slowly."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast() -> torch.autocast:
    """Matrix products and convolutions in bfloat16 where that is faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bf16())
