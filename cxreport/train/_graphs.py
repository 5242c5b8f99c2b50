"""The networks as ONNX graphs: traced, their big weights stored in half precision, inputs and outputs declared."""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from cxreport._signatures import Port, Signature
from cxreport.train.decoder import Decoder, State
from cxreport.train.encoder import Encoder
from cxreport.train.typicality import Typicality

_M = TypeVar("_M", bound=nn.Module)

OPSET = 17
_BIG = 256
"""Weights of fewer elements, and all vectors, stay in single precision."""
_ONNX_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}
_TORCH_TYPES = {"float32": torch.float32, "int64": torch.int64, "uint8": torch.uint8}


class _Standardise(nn.Module):
    """A batch norm in evaluation mode, spelled out: the exporter cannot follow one behind a mean."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.register_buffer("mean", norm.running_mean.clone())
        self.register_buffer("deviation", (norm.running_var + norm.eps).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        return (x - self.mean) / self.deviation


class EncoderGraph(nn.Module):
    """The encoder from 8-bit images to probabilities, and their distance from the training images."""

    def __init__(self, encoder: Encoder, typicality: Typicality) -> None:
        super().__init__()
        self.typicality = typicality
        self.encoder = copy.deepcopy(encoder)
        setattr(self.encoder, "norm", _Standardise(encoder.norm))  # noqa: B010 - of another type on purpose

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 1, S, S) uint8 -> patch features, tag probabilities, embedding, distance."""
        maps = self.encoder.maps(image.float())
        patches, logits, embedding = self.encoder.read(maps)
        return patches, logits.sigmoid(), embedding, self.typicality(maps)


class SentenceGraph(nn.Module):
    """The sentence step with its state as plain tensors and probabilities in place of logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.step = decoder.sentence

    def forward(
        self,
        patches: Tensor,
        has_image: Tensor,
        tags: Tensor,
        unusual: Tensor,
        plan: Tensor,
        detail: Tensor,
        section: Tensor,
        hidden: Tensor,
        cell: Tensor,
    ) -> tuple[Tensor, ...]:
        """As `SentenceStep.forward`."""
        out = self.step(patches, has_image, tags, unusual, plan, detail, section, State(hidden, cell))
        return out.topic, out.stop.sigmoid(), out.section.sigmoid(), out.attention, *out.state


class WordGraph(nn.Module):
    """The word step with its state as plain tensors and log-probabilities in place of logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.step = decoder.word

    def forward(self, topic: Tensor, word: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        """As `WordStep.forward`."""
        logits, state = self.step(topic, word, State(hidden, cell))
        return logits.log_softmax(1), *state


def make_graph(module: nn.Module, signature: Signature) -> bytes:
    """Trace a module and serialise it, the same bytes for the same weights.

    Args:
        module: one of this file's.
        signature: names and shapes of its inputs and outputs.
    """
    dynamic = {p.name: {i: d for i, d in enumerate(p.shape) if isinstance(d, str)} for p in _ports(signature)}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter built on torch.export needs onnxscript and writes the sources' paths into the graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(_example(p) for p in signature.inputs),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,  # would store what is folded beside its source
            input_names=[p.name for p in signature.inputs],
            output_names=[p.name for p in signature.outputs],
            dynamic_axes=dynamic,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _declare(model.graph.input, signature.inputs)
    _declare(model.graph.output, signature.outputs)
    halve(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def halve(model: onnx.ModelProto) -> None:
    """Store the big weights of a graph in half precision, each behind a cast to single precision.

    ONNX Runtime folds the casts when it loads the graph, so that it computes in single precision.
    """
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT or not _is_big(initializer.dims):
            continue
        name = initializer.name
        half = numpy_helper.to_array(initializer).astype(np.float16)
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        cast = helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def rounded(module: _M) -> _M:
    """A copy of a module with the weights that `halve` leaves."""
    twin = copy.deepcopy(module).eval()
    for weights in (*twin.parameters(), *twin.buffers()):
        if _is_big(weights.shape):
            weights.data = weights.data.half().float()
    return twin


def _is_big(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and math.prod(shape) >= _BIG


def _ports(signature: Signature) -> tuple[Port, ...]:
    return signature.inputs + signature.outputs


def _example(port: Port) -> Tensor:
    """An input to trace with."""
    shape = [2 if isinstance(d, str) else d for d in port.shape]
    return torch.zeros(shape, dtype=_TORCH_TYPES[port.dtype])


def _declare(values: Sequence[onnx.ValueInfoProto], ports: Sequence[Port]) -> None:
    """Write the declared shapes into a graph's inputs or outputs."""
    for value, port in zip(values, ports, strict=True):
        value.CopyFrom(helper.make_tensor_value_info(port.name, _ONNX_TYPES[port.dtype], port.shape))
