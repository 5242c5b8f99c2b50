"""Steps bound to a device: their inputs, outputs and state stay there, in the same buffers for as long as they run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.model.choices import Device
from cxreport.model.graphs import Graphs, Session
from cxreport.model.manifest import WORD_SEARCH, Manifest
from cxreport.model.signatures import Port, Signature

_OUT = "_out"
_Inputs = Mapping[str, NDArray[Any]]
"""Inputs of a graph by name."""


class DeviceTensor(Protocol):
    """A tensor on a device, as ONNX Runtime has it."""

    def numpy(self) -> NDArray[Any]:
        """Copy to the host."""

    def update_inplace(self, data: NDArray[Any]) -> None:
        """Overwrite its numbers."""


ToDevice = Callable[[NDArray[Any]], DeviceTensor]
"""Copies an array to a device, where it need not outlive the call."""


class BoundStep:
    """A step graph with inputs of fixed shapes.

    Its state from step to step, an output ``NAME_out`` and an input ``NAME``, has two buffers: a step reads one and
    writes the other, the next step the other way round. So the state never moves, and repeating a step changes
    nothing, which capturing a CUDA graph asks for. Not for several threads at once.
    """

    def __init__(
        self,
        session: Any,
        signature: Signature,
        to_device: ToDevice,
        inputs: _Inputs,
        run_options: Sequence[Any] = (None, None),
    ) -> None:
        """Allocate and bind.

        Args:
            session: of ONNX Runtime.
            signature: of its graph.
            to_device: copies an array to the session's device.
            inputs: all of them.
            run_options: of the runs by turn: the two turns are two CUDA graphs.
        """
        self._session, self._signature, self._run_options = session, signature, run_options
        sizes = {d: n for port in signature.inputs for d, n in zip(port.shape, inputs[port.name].shape, strict=True)}
        self._inputs = {port.name: to_device(inputs[port.name]) for port in signature.inputs}
        self._outputs = {port.name: to_device(_zeros(port, sizes)) for port in signature.outputs}
        self._turn = 0
        self._bindings = [self._binding(turn) for turn in range(2)]

    def put(self, inputs: _Inputs) -> None:
        """Replace some inputs by others of the same shapes."""
        for name, array in inputs.items():
            self._input(name, self._turn).update_inplace(array)

    def run(self) -> None:
        """Make a step."""
        self._session.run_with_iobinding(self._bindings[self._turn], self._run_options[self._turn])
        self._turn = 1 - self._turn

    def fetch(self, name: str) -> NDArray[Any]:
        """Copy an output of the last step to the host."""
        return np.array(self._output(name, 1 - self._turn).numpy())

    def _binding(self, turn: int) -> Any:
        binding = self._session.io_binding()
        for port in self._signature.inputs:
            binding.bind_ortvalue_input(port.name, self._input(port.name, turn))
        for port in self._signature.outputs:
            binding.bind_ortvalue_output(port.name, self._output(port.name, turn))
        return binding

    def _input(self, name: str, turn: int) -> DeviceTensor:
        state = self._outputs.get(f"{name}{_OUT}")
        return state if turn and state is not None else self._inputs[name]

    def _output(self, name: str, turn: int) -> DeviceTensor:
        return self._inputs[name.removesuffix(_OUT)] if turn and name.endswith(_OUT) else self._outputs[name]


class BoundGraphs(Graphs, ABC):
    """Graphs of a bundle, of which some steps can be bound to the device."""

    def __init__(self, manifest: Manifest, device: Device, sessions: Mapping[str, Session], streams: int = 1) -> None:
        """Take loaded graphs, as `Graphs` does."""
        super().__init__(manifest, device, sessions, streams)
        on_gpu = device is Device.CUDA
        self.bound_steps = frozenset({"sentence_step", WORD_SEARCH} & sessions.keys() if on_gpu else ())
        """Steps that are faster with `bound_step`."""
        self._bound_steps: dict[tuple[Any, ...], BoundStep] = {}

    def bound_step(self, name: str, inputs: _Inputs, slot: int = 0) -> BoundStep:
        """Start a step graph whose inputs, outputs and state stay on the device.

        Steps of the same shapes use the same buffers again, so that an earlier run in the same slot ends.

        Args:
            name: of the graph.
            inputs: all of them, at the start.
            slot: for several runs at once.
        """
        key = (name, slot, *(inputs[port.name].shape for port in self._signatures[name].inputs))
        if key in self._bound_steps:
            self._bound_steps[key].put(inputs)
        else:
            numbers = [2 * len(self._bound_steps) + turn for turn in range(2)]
            run_options = list(map(self._capture_options, numbers)) if name == WORD_SEARCH else (None, None)
            signature, session = self._signatures[name], self._sessions[name]
            self._bound_steps[key] = BoundStep(session, signature, self._to_device, inputs, run_options)
        return self._bound_steps[key]

    @abstractmethod
    def _to_device(self, array: NDArray[Any]) -> DeviceTensor:
        """Copy an array to the device."""

    @abstractmethod
    def _capture_options(self, number: int) -> Any:
        """Options of a run that is captured as the CUDA graph of a number, where its session captures any."""


def _zeros(port: Port, sizes: Mapping[int | str, int]) -> NDArray[Any]:
    return np.zeros([sizes[d] if isinstance(d, str) else d for d in port.shape], port.dtype)
