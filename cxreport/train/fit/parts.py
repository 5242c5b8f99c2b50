"""A batch in parts, each on a thread of its own: cores wait for each other once a step, not once a layer.

Where something else keeps a core busy now and then, as on a laptop or a shared machine, PyTorch's threads, which share
every layer and wait for the last at its end, were seen to take four times as long as usual.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

_LEAST = 4
"""Images in a part."""


class BatchParts:
    """Network that computes the parts of a batch side by side, forwards and backwards.

    The network must not look from one example of a batch to another.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], *, bf16: bool) -> None:
        """Count PyTorch's threads; with one, nothing is parted.

        Args:
            network: function of a batch, with parameters that are to be trained.
            bf16: compute in bfloat16 where PyTorch's autocast does.
        """
        self._network, self._bf16, self._count = network, bf16, torch.get_num_threads()
        self._anchor = torch.zeros((), requires_grad=True)

    def __call__(self, batch: Tensor) -> Tensor:
        """Outputs (B, ...) of a batch (B, ...); gradients of the parameters are added up when its loss goes back."""
        if self._count == 1 or len(batch) < self._count * _LEAST or not torch.is_grad_enabled():
            return self._part(batch)
        output: Tensor = _Parts.apply(self._anchor, _threads(self._count), self._part, batch.chunk(self._count))
        return output

    def _part(self, batch: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            return self._network(batch)


class _Parts(torch.autograd.Function):
    """Outputs of parts, whose graphs are kept for the way back."""

    @staticmethod
    def forward(
        ctx: Any, _anchor: Tensor, threads: ThreadPoolExecutor, part: Callable[[Tensor], Tensor], batch: list[Tensor]
    ) -> Tensor:
        ctx.threads, ctx.outputs = threads, list(threads.map(part, batch))
        return torch.cat([output.detach() for output in ctx.outputs])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        sizes = [len(output) for output in ctx.outputs]
        parts = zip(ctx.outputs, torch.split(gradients[0], sizes), strict=True)
        trained = [(output, gradient) for output, gradient in parts if output.requires_grad]
        list(ctx.threads.map(lambda part: torch.autograd.backward(*part), trained))
        return None, None, None, None


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Threads that all networks of the process share."""
    return ThreadPoolExecutor(count, initializer=_alone)


def _alone() -> None:
    """Settings of a thread: none beside it, and denormal numbers are zero."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
