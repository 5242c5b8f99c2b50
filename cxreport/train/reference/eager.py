"""A bundle's networks in eager PyTorch, read back from its graphs: the baseline of `cxreport bench`.

As research code runs them: one study at a time, and every sentence and word reads the whole prefix again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import BundleError
from cxreport.model.bundle import load_manifest, read_graphs
from cxreport.model.choices import Precision
from cxreport.model.manifest import ENCODER, Manifest
from cxreport.train.networks.decoder import Decoder, DecoderSizes
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.train.networks.encoders import ENCODERS
from cxreport.train.networks.factors import factor, stored_ranks
from cxreport.train.reference.greedy import Ids, greedy
from cxreport.types import Encoding, Pixels

__all__ = ["EagerModel", "load_eager"]

_ARCHITECTURE: Literal["co-attention"] = "co-attention"
_Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class EagerModel:
    """Encoder and decoder of a bundle, in evaluation mode."""

    manifest: Manifest
    encoder: Encoder
    decoder: Decoder

    @property
    def threads(self) -> int:
        """CPU threads that PyTorch takes."""
        return torch.get_num_threads()

    @torch.inference_mode()
    def draft(self, pixels: Pixels, rereading: bool = True) -> Ids:
        """Write the sentences of a study.

        Args:
            pixels: (S, S) or (S, S, 3) uint8, as `reading.network_input` makes them.
            rereading: whether every step reads the whole prefix again, in place of carrying the states on.
        """
        patches, logits, _ = self.encoder(to_input(pixels[None].copy()))  # a copy, as torch wants writable memory
        tags = dict(zip(self.manifest.tag_names, logits[0].sigmoid().tolist(), strict=True))
        encoding = Encoding(tags, patches[0].numpy(), None)
        return greedy(self.decoder, self.manifest, encoding, make_plan(self.manifest, encoding, HEAD), rereading)


def load_eager(folder: Path) -> EagerModel:
    """Build the networks of a float bundle from the weights in its graphs.

    Args:
        folder: of the bundle.

    Raises:
        BundleError: unusable, quantised, of an encoder that is not in `ENCODERS`, or of another architecture than
            co-attention.
    """
    manifest = load_manifest(folder)
    if manifest.encoder not in ENCODERS:
        raise BundleError(f"{folder}: unknown encoder {manifest.encoder!r}.", hint="Leave PyTorch out.")
    if manifest.architecture != _ARCHITECTURE or manifest.precision != Precision.FLOAT32:
        raise BundleError(f"{folder}: PyTorch runs float bundles with {_ARCHITECTURE}.", hint="Leave PyTorch out.")
    graphs = {name: onnx.load_from_string(content) for name, content in read_graphs(folder, manifest).items()}
    encoder = _encoder(manifest, _weights(graphs[ENCODER]))
    decoder = _decoder(manifest, graphs["sentence_step"], graphs["word_step"])
    return EagerModel(manifest, encoder.eval(), decoder.eval())


def _encoder(manifest: Manifest, weights: _Weights) -> Encoder:
    trunk_class, sizes = ENCODERS[manifest.encoder], manifest.sizes
    trunk = trunk_class(weights["encoder.tag_head.weight"].shape[1] / trunk_class.full_channels[-1])
    patches = sizes.patches, sizes.patch_dim
    depths = range(-1, -len(trunk.channels) - 1, -1)
    depth = next(d for d in depths if (trunk.places(d, sizes.image), trunk.channels[d]) == patches)
    encoder = Encoder(trunk, sizes.tags, patch_depth=depth)
    factor(trunk, stored_ranks(trunk, _below(weights, "encoder.features.")))
    _fill(encoder.features, weights, "encoder.features.")
    _fill(encoder.tag_head, weights, "encoder.tag_head.")
    variance = weights["encoder.norm.deviation"] ** 2 - encoder.norm.eps
    encoder.norm.load_state_dict({"running_mean": weights["encoder.norm.mean"], "running_var": variance}, strict=False)
    return encoder


def _decoder(manifest: Manifest, sentence_step: onnx.ModelProto, word_step: onnx.ModelProto) -> Decoder:
    sentence, word = _weights(sentence_step), _weights(word_step)
    sizes = DecoderSizes(
        tags=manifest.sizes.reporting_tags,
        words=manifest.sizes.words,
        patch_dim=manifest.sizes.patch_dim,
        hidden=manifest.sizes.hidden,
        word_dim=word["step.embedding.weight"].shape[1],
        attention=sentence["step.visual.item.weight"].shape[0],
        top_tags=_top_tags(sentence_step),
        attends_to=manifest.architecture.row.attends_to,
    )
    decoder = Decoder(sizes)
    _fill(decoder.sentence, sentence, "step.")
    _fill(decoder.word, word, "step.")
    return decoder


def _weights(graph: onnx.ModelProto) -> _Weights:
    """The weights of a graph by their names in it, in single precision."""
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
    weights = {name.removesuffix(".half"): torch.from_numpy(array.astype("float32")) for name, array in arrays.items()}
    for node in graph.graph.node:  # of equal weights torch's former exporter kept one
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    return weights


def _fill(module: nn.Module, weights: _Weights, prefix: str) -> None:
    """Load the weights whose names begin with a prefix into a module."""
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict(counters | _below(weights, prefix))


def _below(weights: _Weights, prefix: str) -> _Weights:
    """The weights whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _top_tags(graph: onnx.ModelProto) -> int:
    """Number of tags that the sentence step attends to: the constant of its TopK, as no weight has that size."""
    makers = {output: node for node in graph.graph.node for output in node.output}
    constants = {initializer.name: initializer for initializer in graph.graph.initializer}
    constants |= {name: node.attribute[0].t for name, node in makers.items() if node.op_type == "Constant"}
    name = next(node.input[1] for node in graph.graph.node if node.op_type == "TopK")
    while name not in constants:
        name = makers[name].input[0]
    return int(numpy_helper.to_array(constants[name]).item())
