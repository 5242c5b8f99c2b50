"""The networks as ONNX graphs: exported, big weights stored in half precision, inputs and outputs declared."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import MutableSequence, Sequence
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxscript import optimizer
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.model.signatures import Port, Signature
from cxreport.train.export.fp16 import halve
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder, State, StudyInput, TopicInput
from cxreport.train.networks.encoder import Encoder
from cxreport.train.networks.joint import JointSpace, joint_features
from cxreport.train.networks.typicality import Typicality

OPSET = 18
"""That torch's exporter has its operators in."""
_SHORTEST = 3
"""Length of the first free dimension of an example; 0 and 1 would be taken for fixed."""
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
            return patches, _probabilities(logits), F.normalize(self.encoder.norm(mean), dim=1), distance
        embedding, embedded = self.joint.image(*joint_features(maps))
        return patches, _probabilities(logits), embedding, distance, embedded


def _probabilities(logits: Tensor) -> Tensor:
    """The sigmoid, spelled out: that of ONNX Runtime is off by 1e-7, a thousandth of a small probability."""
    return 1 / (1 + torch.exp(-logits))


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
        """As `SentenceStep.forward`, with the fields of its inputs one after the other."""
        study, sentence = StudyInput(patches, has_image, tags, unusual), TopicInput(plan, detail, section)
        output = self.step(study, sentence, State(hidden, cell))
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
    """Export a module and serialise it, the same bytes for the same weights.

    Args:
        module: one of this module's, or a text encoder.
        signature: names and shapes of its inputs and outputs.
    """
    program = _exported(module.eval(), signature)
    weights = {name for name, _ in itertools.chain(module.named_parameters(), module.named_buffers())}

    def should_fold(node: Any) -> bool | None:
        """False for what is computed from weights: it would take their place, without their names."""
        return False if any(value and value.name in weights for value in node.inputs) else None

    optimizer.fold_constants(program.model, onnx_shape_inference=True, should_fold=should_fold)
    optimizer.remove_unused_nodes(program.model)
    ClearMetadataAndDocStringPass()(program.model)  # of paths of the sources, and of what the nodes come from
    model = program.model_proto
    del model.graph.value_info[:]
    declare(model.graph.input, signature.inputs)
    declare(model.graph.output, signature.outputs)
    halve(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _exported(module: nn.Module, signature: Signature) -> torch.onnx.ONNXProgram:
    """Export a module, with every weight under its own name.

    It is traced on its own first, as this raises an error where a free dimension comes out fixed; `torch.onnx.export`
    would go on without a word. The lengths in the examples differ, so that none is taken for another.
    """
    names = dict.fromkeys(d for port in signature.inputs for d in port.shape if isinstance(d, str))
    lengths = dict(zip(names, itertools.count(_SHORTEST), strict=False))
    axes = {name: torch.export.Dim(name) for name in names}
    examples = (
        torch.zeros([lengths[d] if isinstance(d, str) else d for d in p.shape], dtype=_TORCH_TYPES[p.dtype])
        for p in signature.inputs
    )
    free = tuple({i: axes[d] for i, d in enumerate(p.shape) if isinstance(d, str)} for p in signature.inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own insides
        program = torch.onnx.export(
            torch.export.export(module, tuple(examples), dynamic_shapes=free, strict=False),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            optimize=False,  # would keep one of equal weights, and fold others into new ones
            input_names=[p.name for p in signature.inputs],
            output_names=[p.name for p in signature.outputs],
        )
    assert program is not None
    return program


def declare(values: MutableSequence[onnx.ValueInfoProto], ports: Sequence[Port]) -> None:
    """Write the declared names and shapes in the place of a graph's inputs or outputs.

    The exporter names lengths of outputs by what they are computed from.
    """
    del values[:]
    values.extend(helper.make_tensor_value_info(port.name, _ONNX_TYPES[port.dtype], port.shape) for port in ports)
