"""Graphs for GPUs, made from the finished graphs of a float bundle without their networks.

The encoder's convolutions in half precision, and a greedy step of the word LSTM that keeps all its bookkeeping on the
device. Neither stores a big weight: each is external data that points into the graph it is made from, whose bytes
`cxreport.model.session` has read and checked by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from cxreport.model.manifest import FLOOR, HALF_ENCODER, WEIGHTS_OF, WORD_SEARCH
from cxreport.model.signatures import Signature
from cxreport.text.vocabulary import END, PAD, UNK
from cxreport.train.export.graphs import declare

_SHARED = 1024
"""Bytes from which an initializer is kept in the other graph's file."""
_AXES_ARE_INPUTS = 18
"""First opset in which a reduction takes its axes as an input; bundles of before 0.7.0 have 17."""
_WHOLE = 2**31 - 1
"""End of a slice that goes on to the last column."""


def make_gpu_graphs(
    graphs: Mapping[str, bytes], files: Mapping[str, str], ports: Mapping[str, Signature]
) -> dict[str, bytes]:
    """Make the graphs for GPUs that a float bundle can have.

    Args:
        graphs: of the bundle, by name.
        files: their file names, by name.
        ports: inputs and outputs of all graphs.

    Returns:
        graphs by name, the same bytes for the same bundle.
    """
    makers = {HALF_ENCODER: _half_encoder, WORD_SEARCH: _word_search}
    gpu_graphs = {}
    for name, make in makers.items():
        source = WEIGHTS_OF[name]
        if source in graphs:
            model = onnx.load_from_string(graphs[source])
            make(model)
            del model.graph.value_info[:]
            declare(model.graph.input, ports[name].inputs)
            declare(model.graph.output, ports[name].outputs)
            onnx.checker.check_model(model, full_check=True)
            _share_weights(model.graph, graphs[source], files[source])
            gpu_graphs[name] = bytes(model.SerializeToString(deterministic=True))
    return gpu_graphs


def _share_weights(graph: onnx.GraphProto, content: bytes, file: str) -> None:
    """Point the initializers into another graph's file, at the place of the same bytes."""
    for initializer in graph.initializer:
        raw = initializer.raw_data
        offset = content.find(raw) if len(raw) >= _SHARED else -1
        if offset < 0:
            continue
        initializer.ClearField("raw_data")
        initializer.data_location = TensorProto.EXTERNAL
        place = {"location": file, "offset": offset, "length": len(raw)}
        initializer.external_data.extend(onnx.StringStringEntryProto(key=k, value=str(v)) for k, v in place.items())


def _half_encoder(model: onnx.ModelProto) -> None:
    """Convolutions, and ReLUs and poolings between them, in half precision; everything else in single precision.

    Means and sums over maps, standardisation, distance, logits and lengths of vectors read the maps behind a cast.
    """
    graph = model.graph
    halves = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast" and n.input[0].endswith(".half")}
    chain, nodes = dict[str, str](halves), dict[str, onnx.NodeProto]()

    def cast(tensor: str, kind: int) -> str:
        """The tensor in another precision; one cast for all readers."""
        name = f"{tensor}.as{kind}"
        nodes.setdefault(name, helper.make_node("Cast", [tensor], [name], name=f"{name}.cast", to=kind))
        return name

    for node in list(graph.node):
        if node.op_type == "Conv" or (node.op_type in ("Relu", "MaxPool") and node.input[0] in chain):
            inputs = [chain.get(i) or cast(i, TensorProto.FLOAT16) for i in node.input]
            chain[node.output[0]] = node.output[0]
        else:
            inputs = [cast(i, TensorProto.FLOAT) if chain.get(i) == i else i for i in node.input]
        del node.input[:]
        node.input.extend(inputs)
        nodes[node.output[0]] = node
    readers = {i for node in nodes.values() for i in node.input} | {port.name for port in graph.output}
    live = [node for node in nodes.values() if readers & set(node.output)]
    del graph.node[:]
    graph.node.extend(live)


class _Builder:
    """Appends nodes and constants to a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._opset = next(opset.version for opset in model.opset_import if not opset.domain)

    def constant(self, name: str, value: ArrayLike, dtype: type) -> str:
        """Add a constant tensor; returns its name."""
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; returns its name."""
        self._graph.node.append(helper.make_node(op, inputs, [output], name=f"search/{output}", **attributes))
        return output

    def columns(self, source: str, start: int, stop: int, output: str) -> str:
        """Cut columns out of a matrix; returns the name of what is left."""
        limits = [self.constant(f"{output}.{n}", [i], np.int64) for n, i in (("start", start), ("stop", stop))]
        return self.node("Slice", [source, *limits, "columns"], output)

    def over_columns(self, op: str, source: str, output: str) -> str:
        """Reduce the columns of a matrix to one; returns its name."""
        if self._opset < _AXES_ARE_INPUTS:
            return self.node(op, [source], output, axes=[1], keepdims=1)
        return self.node(op, [source, "columns"], output, keepdims=1)


def _word_search(model: onnx.ModelProto) -> None:
    """Put the choice of the next word behind a word step, by the rules of `cxreport.drafting.beam`.

    All texts are equally long, and their words stand at the right of ``words``, before them `NO_WORD`. What is ruled
    out scores `FLOOR`. A text that has ended goes on with end marks that cost nothing; one that may have no word at
    all ends with a total of about `FLOOR`. There is no control flow, and no node without a CUDA kernel, so that the
    step can be captured as a CUDA graph.
    """
    graph = model.graph
    ids = np.arange(graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    step = list(graph.node)
    del graph.node[:]
    build = _Builder(model)
    build.constant("columns", [1], np.int64)
    build.constant("pad", PAD, np.int64)
    build.constant("end", END, np.int64)
    build.constant("floor", FLOOR, np.float32)
    build.node("Squeeze", [build.columns("words", -1, _WHOLE, "last_word"), "columns"], "word")
    graph.node.extend(step)
    _rule_out(build, ids)
    _choose(build, ids)


def _rule_out(build: _Builder, ids: NDArray[np.int64]) -> None:
    """Make ``allowed`` from ``log_probabilities``.

    Words that a text may not repeat are scattered to their ids; places of the text that forbid nothing go to `PAD`,
    which is never allowed. So all values that are scattered to one id are equal.
    """
    build.node("Not", ["may_end"], "too_early")
    build.node("And", [build.constant("is_end", ids == END, np.bool_), "too_early"], "early_end")
    build.node("Or", [build.constant("never", np.isin(ids, [PAD, UNK]), np.bool_), "early_end"], "marks")
    build.node("Or", ["banned", "marks"], "forbidden")
    build.node("Where", ["forbidden", "floor", "log_probabilities"], "spoken")
    build.node("Max", ["words", "pad"], "known_words")
    build.node("Gather", ["once", "known_words"], "used_up")
    build.node(
        "Equal", [build.columns("words", 0, -2, "first"), build.columns("words", -2, -1, "before")], "same_first"
    )
    build.node("Equal", [build.columns("words", 1, -1, "second"), "last_word"], "same_second")
    build.node("And", ["same_first", "same_second"], "repeats")
    build.node("Concat", ["used_up", "repeats"], "hits", axis=1)
    build.node("Concat", ["known_words", build.columns("known_words", 2, _WHOLE, "third")], "targets", axis=1)
    build.node("Where", ["hits", "targets", "pad"], "places")
    build.node("Where", ["hits", "floor", "floor"], "floors")
    build.node("ScatterElements", ["spoken", "places", "floors"], "allowed", axis=1)


def _choose(build: _Builder, ids: NDArray[np.int64]) -> None:
    """Take the likeliest allowed word; of equals the smallest id, which an ArgMax on a GPU does not promise."""
    id_row, largest = build.constant("ids", ids, np.float32), build.constant("beyond", len(ids), np.float32)
    build.over_columns("ReduceMax", "allowed", "score")
    build.node("Equal", ["allowed", "score"], "is_best")
    build.node("Where", ["is_best", id_row, largest], "best_ids")
    build.over_columns("ReduceMin", "best_ids", "best_id")
    build.node("Cast", ["best_id"], "chosen", to=TensorProto.INT64)
    build.node("Greater", ["score", "floor"], "possible")
    build.node("Not", ["possible"], "impossible")
    build.node("Equal", ["last_word", "end"], "ended")
    build.node("Or", ["ended", "impossible"], "ends")
    build.node("Where", ["ends", "end", "chosen"], "next_word")
    build.node("Where", ["ended", build.constant("nothing", 0, np.float32), "score"], "gain")
    build.node("Squeeze", ["gain", "columns"], "gains")
    build.node("Add", ["total", "gains"], "total_out")
    build.node("Squeeze", ["next_word", "columns"], "best")
    build.node("Concat", [build.columns("words", 1, _WHOLE, "later_words"), "next_word"], "words_out", axis=1)
