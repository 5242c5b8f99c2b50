"""3x3 convolution by Winograd's minimal filtering, for training on CPUs without bf16 units.

oneDNN's direct AVX2 convolution reaches the peak of the multiply-add units forwards, but less than half of it
in the weight gradient. F(4x4, 3x3) (Lavin & Gray 2016, arXiv:1509.09308) needs a quarter of the multiplications
and leaves all of them to batched matrix products. Same function as ``torch.nn.functional.conv2d`` with
``padding=1`` up to rounding (relative error about 1e-5 in float32).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Transforms of Lavin & Gray for output tiles of 4x4: data B^T (6x6), filter G (6x3), output A^T (4x6).
_DATA = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
_FILTER = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float32
) / torch.tensor([[24.0]])
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)
_DATA2 = torch.kron(_DATA, _DATA)  # (36, 36): a flattened 6x6 tile at once
_FILTER2 = torch.kron(_FILTER, _FILTER)  # (36, 9)
_OUTPUT2 = torch.kron(_OUTPUT, _OUTPUT)  # (16, 36)


def _data_tiles(x: Tensor) -> Tensor:
    """(B, C, H, W) -> transformed overlapping tiles (36, B*th*tw, C)."""
    _, c, h, w = x.shape
    down, right = -h % 4, -w % 4
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + right, 1, 1 + down))
    tiles = padded.unfold(1, 6, 4).unfold(2, 6, 4)  # (B, th, tw, C, 6, 6)
    flat = tiles.permute(4, 5, 0, 1, 2, 3).reshape(36, -1)
    return torch.mm(_DATA2, flat).view(36, -1, c)


def _from_tiles(m: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Products (36, B*th*tw, C) -> (B, C, H, W), channels last."""
    b, c, h, w = shape
    th, tw = -(-h // 4), -(-w // 4)
    y = torch.mm(_OUTPUT2, m.view(36, -1)).view(4, 4, b, th, tw, c)
    y = y.permute(2, 3, 0, 4, 1, 5).reshape(b, th * 4, tw * 4, c)
    return y[:, :h, :w].permute(0, 3, 1, 2)


def _grad_tiles(g: Tensor) -> Tensor:
    """Output gradient (B, C, H, W) -> (36, B*th*tw, C), the adjoint of `_from_tiles`."""
    b, c, h, w = g.shape
    y = F.pad(g.permute(0, 2, 3, 1), (0, 0, 0, -w % 4, 0, -h % 4))
    th, tw = y.shape[1] // 4, y.shape[2] // 4
    flat = y.reshape(b, th, 4, tw, 4, c).permute(2, 4, 0, 1, 3, 5).reshape(16, -1)
    return torch.mm(_OUTPUT2.t(), flat).view(36, -1, c)


def _filters(weight: Tensor) -> Tensor:
    """(Cout, Cin, 3, 3) -> (36, Cin, Cout)."""
    cout, cin = weight.shape[:2]
    return torch.mm(_FILTER2, weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, cin, cout)


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        data = _data_tiles(x)
        ctx.save_for_backward(data, weight)
        ctx.needs_x = x.requires_grad
        b, _, h, w = x.shape
        return _from_tiles(torch.bmm(data, _filters(weight)), (b, weight.shape[0], h, w))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        data, weight = ctx.saved_tensors
        cout, cin = weight.shape[:2]
        b, _, h, w = grad.shape
        grad_u = torch.bmm(data.transpose(1, 2), _grad_tiles(grad))  # (36, Cin, Cout)
        grad_w = torch.mm(_FILTER2.t(), grad_u.view(36, -1)).view(3, 3, cin, cout).permute(3, 2, 0, 1)
        grad_x = None
        if ctx.needs_x:
            flipped = weight.flip(2, 3).transpose(0, 1)
            grad_x = _from_tiles(torch.bmm(_data_tiles(grad), _filters(flipped)), (b, cin, h, w))
        return grad_x, grad_w


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``conv2d(x, weight, bias, padding=1)`` of a float32 (B, Cin, H, W) batch with (Cout, Cin, 3, 3) filters."""
    y: Tensor = _Conv3x3.apply(x, weight)
    return y + bias.view(1, -1, 1, 1)
