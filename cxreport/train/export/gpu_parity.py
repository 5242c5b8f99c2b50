"""Parity of the graphs for GPUs with those that they are made from, on the CPU.

ONNX Runtime has no convolution in half precision there: it computes in single precision and drops the casts between
layers. So the half-precision encoder is run with nodes that round between layers as a GPU does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxreport.drafting.beam import search
from cxreport.drafting.word_scores import TopicScorer
from cxreport.errors import ExportError
from cxreport.model.choices import Precision
from cxreport.model.encode import encode
from cxreport.model.gpu.word_search import write_greedily
from cxreport.model.manifest import HALF_ENCODER, WORD_SEARCH, Manifest
from cxreport.model.session import Model
from cxreport.model.texts import TextLimits
from cxreport.train.export.parity import made_image

MAX_CHANGE = 0.005
"""Largest difference of a tag probability."""
_IMAGES, _TOPICS = 8, 48
_SEED = 8
_SPLIT = 2**13 + 1
"""Multiplied by this and taken off again, numbers in single precision keep the 11 digits of half precision."""


def check_gpu_graphs(model: Model, graphs: Mapping[str, bytes]) -> dict[str, Any]:
    """Compare a bundle's graphs for GPUs with the others.

    Args:
        model: the bundle, loaded on the CPU.
        graphs: of the bundle.

    Returns:
        the largest difference of a tag probability, and how many texts of random topics are the same; empty for a
        bundle without such graphs.

    Raises:
        ExportError: a difference is too large.
    """
    generator, figures = np.random.default_rng(_SEED), dict[str, Any]()
    manifest = model.manifest
    if HALF_ENCODER in manifest.graphs:
        images = [made_image(generator, manifest) for _ in range(_IMAGES)]
        encoders = model, as_on_a_gpu(model.manifest, graphs)
        exact, half = (np.array([list(e.tags.values()) for e in encode(m, images)]) for m in encoders)
        figures["half_change"] = float(abs(exact - half).max())
    if WORD_SEARCH in manifest.graphs:
        bound = model.with_word_search(graphs)
        sizes, lengths = manifest.sizes, manifest.decoding
        topics = generator.uniform(-1, 1, (_TOPICS, sizes.hidden)).astype(np.float32)
        banned = generator.random((_TOPICS, sizes.words)) < 0.1
        limits = TextLimits(1, lengths.min_words, lengths.max_words, manifest.long_words)
        pairs = zip(
            write_greedily(bound, topics, banned, limits),
            search(TopicScorer(model, topics), sizes.hidden, banned, limits),
            strict=True,
        )
        figures["searched"] = sum(a.ids == b.ids for a, b in pairs)
    if figures.get("half_change", 0) > MAX_CHANGE or figures.get("searched", _TOPICS) < _TOPICS:
        raise ExportError(f"The graphs for GPUs differ from the others: {figures}.")
    return figures


def as_on_a_gpu(manifest: Manifest, graphs: Mapping[str, bytes]) -> Model:
    """Load a bundle on the CPU with an encoder that rounds the inputs and outputs of its convolutions.

    A GPU adds up in single precision and rounds the sums. The CPU's numbers may exceed half precision's range; those
    of a GPU would be infinite, so that the difference would show.

    Args:
        manifest: of the bundle.
        graphs: of the bundle, with `HALF_ENCODER`.
    """
    model = onnx.load_from_string(graphs[HALF_ENCODER])
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.initializer.append(numpy_helper.from_array(np.array(_SPLIT, np.float32), "split"))
    for node in nodes:
        name = node.output[0]
        rounds = node.op_type == "Conv" or any(a.name == "to" and a.i == TensorProto.FLOAT16 for a in node.attribute)
        if rounds:
            node.output[0] = f"{name}.sum"
        model.graph.node.append(node)
        if rounds:
            model.graph.node.extend(_rounding(f"{name}.sum", name))
    rounding = {**graphs, HALF_ENCODER: model.SerializeToString()}
    return Model.on_cpu(replace(manifest, precision=Precision.FLOAT16), rounding, 1)


def _rounding(source: str, target: str) -> list[onnx.NodeProto]:
    """Nodes that round a tensor to half precision in a way that no optimiser undoes."""
    single, large, small, rounded = (f"{target}.{n}" for n in ("single", "large", "rest", "rounded"))
    return [
        helper.make_node("Cast", [source], [single], to=TensorProto.FLOAT),
        helper.make_node("Mul", [single, "split"], [large]),
        helper.make_node("Sub", [large, single], [small]),
        helper.make_node("Sub", [large, small], [rounded]),
        helper.make_node("Cast", [rounded], [target], to=TensorProto.FLOAT16),
    ]
