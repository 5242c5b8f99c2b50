"""The networks as ONNX graphs: traced, big weights stored in half precision, inputs and outputs declared."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import MutableSequence, Sequence

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.model.signatures import Port, Signature
from cxreport.train.export.fp16 import halve
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder, State, StudyInput, TopicInput
from cxreport.train.networks.encoder import Encoder
from cxreport.train.networks.joint import JointSpace, joint_features
from cxreport.train.networks.typicality import Typicality

OPSET = 17
_ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}
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
    """The encoder from 8-bit images to probabilities, their distance from the training images and their embedding.

    Without a joint space the embedding is the standardised mean patch at unit length.
    """

    def __init__(self, encoder: Encoder, typicality: Typicality, joint: JointSpace | None = None) -> None:
        super().__init__()
        self.typicality, self.joint = typicality, joint
        self.encoder = copy.deepcopy(encoder)
        setattr(self.encoder, "norm", _Standardise(encoder.norm))  # noqa: B010 - of another type on purpose

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, C, S, S) uint8 -> patch features, tag probabilities, embedding, distance, and embedded patches."""
        maps = self.encoder.maps(image.float())
        patches, logits, mean = self.encoder.read(maps)
        distance = self.typicality(maps)
        if self.joint is None:
            return patches, logits.sigmoid(), F.normalize(self.encoder.norm(mean), dim=1), distance
        embedding, embedded = self.joint.image(*joint_features(maps))
        return patches, logits.sigmoid(), embedding, distance, embedded


class SentenceGraph(nn.Module):
    """The sentence step with its state as plain tensors and probabilities in place of logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.step = decoder.sentence

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `SentenceStep.forward`, with the fields of its inputs one after the other."""
        study, sentence, state = StudyInput(*inputs[:4]), TopicInput(*inputs[4:7]), State(*inputs[7:])
        output = self.step(study, sentence, state)
        return output.topic, output.stop.sigmoid(), output.section.sigmoid(), output.attention, *output.state


class WordGraph(nn.Module):
    """The word step with its state as plain tensors and log-probabilities in place of logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.step = decoder.word

    def forward(self, topic: Tensor, word: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        """As `WordStep.forward`."""
        logits, state = self.step(topic, word, State(hidden, cell))
        return logits.log_softmax(1), *state


class CaptionGraph(nn.Module):
    """A captioner's step with its state as plain tensors and log-probabilities in place of logits."""

    def __init__(self, captioner: Captioner) -> None:
        super().__init__()
        self.step = captioner

    def forward(self, patches: Tensor, word: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        """As `Captioner.forward`, but from patch features."""
        logits, attention, state = self.step(self.step.items(patches), word, State(hidden, cell))
        return logits.log_softmax(1), *([] if attention is None else [attention]), *state


def make_graph(module: nn.Module, signature: Signature) -> bytes:
    """Trace a module and serialise it, the same bytes for the same weights.

    Args:
        module: one of this module's, or a text encoder.
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
    declare(model.graph.input, signature.inputs)
    declare(model.graph.output, signature.outputs)
    halve(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _ports(signature: Signature) -> tuple[Port, ...]:
    return signature.inputs + signature.outputs


def _example(port: Port) -> Tensor:
    """An input to trace with."""
    shape = [2 if isinstance(d, str) else d for d in port.shape]
    return torch.zeros(shape, dtype=_TORCH_TYPES[port.dtype])


def declare(values: MutableSequence[onnx.ValueInfoProto], ports: Sequence[Port]) -> None:
    """Write the declared names and shapes in the place of a graph's inputs or outputs.

    The exporter leaves inputs out that a module does not use, as a decoder that attends to patches alone its tags; all
    architectures are to take the same inputs.
    """
    del values[:]
    values.extend(helper.make_tensor_value_info(port.name, _ONNX_TYPES[port.dtype], port.shape) for port in ports)
