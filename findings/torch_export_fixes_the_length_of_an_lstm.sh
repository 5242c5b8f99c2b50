#!/usr/bin/env bash
# torch.onnx.export, asked for a free time axis of an LSTM, returns a graph that takes texts of the example's length alone.
#
# Libraries  torch 2.14.1, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.31.1
# Input      a module with one torch.nn.LSTM(3, 4, batch_first=True); an example of 5 steps; the time axis named by
#            torch.export.Dim in `dynamic_shapes`
# Guess      the graph takes any number of steps, as ONNX's LSTM operator does and as the former exporter
#            (dynamo=False) wrote it; or, if that cannot be, the export is refused.
# Behaviour  torch.export.export with the same axes refuses ("Constraints violated"). torch.onnx.export(dynamo=True) catches
#            that, goes on with what it can have, and returns a graph without an error, whose output has 5 steps fixed;
#            5 steps run, 6 are refused by ONNX Runtime.
# Hurts      captioning and report models with an LSTM over a sentence: the export passes, parity on the example passes,
#            and the first text of another length fails in production. The way round is torch.export.export first, whose
#            error stands, or an LSTM cell per step.
# Source     own measurement
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 numpy 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import io
import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import torch

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
onnxruntime.set_default_logger_severity(4)


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)

    def forward(self, text):
        return self.lstm(text)[0]


module, example = Reader().eval(), torch.zeros(2, 5, 3)
axes = ({0: torch.export.Dim("texts"), 1: torch.export.Dim("steps")},)
try:
    torch.export.export(module, (example,), dynamic_shapes=axes)
    traced = "taken"
except Exception as error:
    traced = "refused: Constraints violated" if "Constraints violated" in str(error) else type(error).__name__
print("torch.export.export with a free time axis:", traced)

program = torch.onnx.export(module, (example,), dynamo=True, dynamic_shapes=axes, verbose=False)
graph = program.model_proto


def runs(content, steps):
    session = onnxruntime.InferenceSession(content)
    try:
        session.run(None, {session.get_inputs()[0].name: np.zeros((2, steps, 3), np.float32)})
    except Exception:
        return False
    return True


now = {steps: runs(graph.SerializeToString(), steps) for steps in (5, 6)}
print("torch.onnx.export(dynamo=True), no error; steps that run:", now)

buffer = io.BytesIO()
torch.onnx.export(
    module, (example,), buffer, dynamo=False, input_names=["text"], output_names=["states"],
    dynamic_axes={"text": {0: "texts", 1: "steps"}},
)
before = {steps: runs(buffer.getvalue(), steps) for steps in (5, 6)}
print("torch.onnx.export(dynamo=False); steps that run:", before)
assert traced == "refused: Constraints violated"
assert now == {5: True, 6: False}
assert before == {5: True, 6: True}
print("as described: the length of the example is fixed, and nothing says so")
PY
