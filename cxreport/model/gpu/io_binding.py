"""Steps bound to a device: their inputs, outputs and state stay there, in the same buffers for as long as they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.model.signatures import Port, Signature

_OUT = "_out"


class Value(Protocol):
    """A tensor on a device, as ONNX Runtime has it."""

    def numpy(self) -> NDArray[Any]:
        """Fetch it."""

    def update_inplace(self, data: NDArray[Any]) -> None:
        """Write other numbers to where it is."""


Place = Callable[[NDArray[Any]], Value]
"""Puts an array on a device, where it need not outlive the call."""


class BoundStep:
    """A step graph with inputs of fixed shapes.

    What it carries from step to step, given as ``NAME_out`` and taken as ``NAME``, has two buffers: a step reads one
    and writes the other, the next step the other way round. So the state never moves, and repeating a step changes
    nothing, which capturing a CUDA graph asks for. Not for several threads at once.
    """

    def __init__(
        self,
        session: Any,
        signature: Signature,
        place: Place,
        inputs: Mapping[str, NDArray[Any]],
        options: Sequence[Any] = (None, None),
    ) -> None:
        """Allocate and bind.

        Args:
            session: of ONNX Runtime.
            signature: of its graph.
            place: puts an array on the session's device.
            inputs: by name, all of them.
            options: of the runs by turn: the two turns are two CUDA graphs.
        """
        self._session, self._signature, self._options = session, signature, options
        sizes = {d: n for port in signature.inputs for d, n in zip(port.shape, inputs[port.name].shape, strict=True)}
        self._given = {port.name: place(inputs[port.name]) for port in signature.inputs}
        self._made = {port.name: place(_empty(port, sizes)) for port in signature.outputs}
        self._turn = 0
        self._bindings = [self._bind(turn) for turn in range(2)]

    def put(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Replace some inputs, of the same shapes."""
        for name, array in inputs.items():
            self._input(name, self._turn).update_inplace(array)

    def run(self) -> None:
        """Make a step."""
        self._session.run_with_iobinding(self._bindings[self._turn], self._options[self._turn])
        self._turn = 1 - self._turn

    def fetch(self, name: str) -> NDArray[Any]:
        """Copy an output of the last step to the host."""
        return np.array(self._output(name, 1 - self._turn).numpy())

    def _bind(self, turn: int) -> Any:
        binding = self._session.io_binding()
        for port in self._signature.inputs:
            binding.bind_ortvalue_input(port.name, self._input(port.name, turn))
        for port in self._signature.outputs:
            binding.bind_ortvalue_output(port.name, self._output(port.name, turn))
        return binding

    def _input(self, name: str, turn: int) -> Value:
        carried = self._made.get(f"{name}{_OUT}")
        return carried if turn and carried is not None else self._given[name]

    def _output(self, name: str, turn: int) -> Value:
        return self._given[name.removesuffix(_OUT)] if turn and name.endswith(_OUT) else self._made[name]


def fill(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Bring an array to a number of rows by repeating its last one."""
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _empty(port: Port, sizes: Mapping[int | str, int]) -> NDArray[Any]:
    return np.zeros([sizes[d] if isinstance(d, str) else d for d in port.shape], port.dtype)
