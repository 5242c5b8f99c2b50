"""Half precision for the big weights of graphs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxreport.train.networks.rounding import is_big


def halve(model: onnx.ModelProto) -> None:
    """Store the big weights of a graph in half precision, each behind a cast to single precision.

    ONNX Runtime folds the casts when it loads the graph, so that it computes in single precision.
    """
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT or not is_big(initializer.dims):
            continue
        name = initializer.name
        half = numpy_helper.to_array(initializer).astype(np.float16)
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        cast = helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def restore(model: onnx.ModelProto) -> None:
    """Undo `halve`, but for the digits: store the weights in single precision, without casts."""
    halves = {i.name: i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT16}
    for cast in [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        half = halves[cast.input[0]]
        half.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), cast.output[0]))
        model.graph.node.remove(cast)
