"""A bundle's networks in eager PyTorch, read back from its graphs, and run as research code runs them.

One study at a time, and every sentence and word reads all that was written before it once more: what `cxreport bench`
compares with.
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
            pixels: (S, S) or (S, S, 3) uint8, as `preprocess.network_input` makes them.
            rereading: every step reads the whole prefix again; False carries the states on.
        """
        patches, logits, _ = self.encoder(to_input(pixels[None].copy()))  # torch wants to be allowed to write
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
    convolutions = ENCODERS.get(manifest.encoder)
    if convolutions is None:
        raise BundleError(f"{folder}: unknown encoder {manifest.encoder!r}.", hint="Leave PyTorch out.")
    if manifest.architecture != _ARCHITECTURE or manifest.precision != Precision.FLOAT32:
        raise BundleError(f"{folder}: PyTorch runs float bundles with {_ARCHITECTURE}.", hint="Leave PyTorch out.")
    graphs = {name: onnx.load_from_string(content) for name, content in read_graphs(folder, manifest).items()}
    encoder_weights = _weights(graphs[ENCODER])
    deviation = encoder_weights["encoder.norm.deviation"]
    trunk = convolutions(manifest.sizes.patch_dim / convolutions.full_patch_dim)
    encoder = Encoder(trunk, manifest.sizes.tags)
    _fill(encoder.features, encoder_weights, "encoder.features.")
    _fill(encoder.tag_head, encoder_weights, "encoder.tag_head.")
    spread = {"running_mean": encoder_weights["encoder.norm.mean"], "running_var": deviation**2 - encoder.norm.eps}
    encoder.norm.load_state_dict(spread, strict=False)
    sentence, word = _weights(graphs["sentence_step"]), _weights(graphs["word_step"])
    sizes = DecoderSizes(
        tags=manifest.sizes.reporting_tags,
        words=manifest.sizes.words,
        patch_dim=manifest.sizes.patch_dim,
        hidden=manifest.sizes.hidden,
        word_dim=word["step.embedding.weight"].shape[1],
        attention=sentence["step.visual.item.weight"].shape[0],
        top_tags=_top_tags(graphs["sentence_step"]),
        attends=_ARCHITECTURE,
    )
    decoder = Decoder(sizes)
    _fill(decoder.sentence, sentence, "step.")
    _fill(decoder.word, word, "step.")
    return EagerModel(manifest, encoder.eval(), decoder.eval())


def _weights(graph: onnx.ModelProto) -> _Weights:
    """The weights of a graph by their names in it, in single precision."""
    stored = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
    found = {name.removesuffix(".half"): torch.from_numpy(array.astype("float32")) for name, array in stored.items()}
    for node in graph.graph.node:  # of weights that are equal, the exporter keeps one
        if node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _fill(module: nn.Module, weights: _Weights, prefix: str) -> None:
    """Give a module the weights whose names begin so."""
    module.load_state_dict({name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)})


def _top_tags(graph: onnx.ModelProto) -> int:
    """How many tags the sentence step attends to: no weight tells, so it is the constant behind its TopK."""
    makers = {output: node for node in graph.graph.node for output in node.output}
    node = next(node for node in graph.graph.node if node.op_type == "TopK")
    source = makers[node.input[1]]
    while source.op_type != "Constant":
        source = makers[source.input[0]]
    return int(numpy_helper.to_array(source.attribute[0].t).item())
