"""Networks with the weights that a bundle stores: the big ones in half precision."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TypeVar

from torch import nn

_M = TypeVar("_M", bound=nn.Module)

_LEAST = 256
"""Elements of a big matrix or kernel; smaller ones, and all vectors, stay in single precision."""


def is_big(shape: Sequence[int]) -> bool:
    """True for a shape of weights that are stored in half precision."""
    return len(shape) > 1 and math.prod(shape) >= _LEAST


def rounded(module: _M) -> _M:
    """A copy of a module, in evaluation mode, with its big weights rounded to half precision."""
    twin = copy.deepcopy(module).eval()
    for weights in (*twin.parameters(), *twin.buffers()):
        if is_big(weights.shape):
            weights.data = weights.data.half().float()
    return twin
