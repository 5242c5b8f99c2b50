"""Recorder of the networks' inputs in a real run: for quantisation to calibrate on, or for the bench to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxreport.model.session import Model


class Recording:
    """Stand-in for a model that records the arguments of its methods.

    Attributes:
        manifest: of the model.
        calls: method -> the arguments of each of its calls, arrays and named tuples of such.
    """

    def __init__(self, model: Model, rows: int | None = None) -> None:
        """Record the first ``rows`` rows of every call; None records all."""
        self.manifest, self._model, self._rows = model.manifest, model, rows
        self.calls: dict[str, list[tuple[Any, ...]]] = {}
        self.bound_steps = frozenset[str]()  # the inputs of a bound step stay on its device

    def __getattr__(self, step: str) -> Any:
        run = getattr(self._model, step)

        def record(*inputs: Any) -> Any:
            self.calls.setdefault(step, []).append(tuple(self._head(value) for value in inputs))
            return run(*inputs)

        return record

    def _head(self, value: Any) -> Any:
        """The first rows of an array, or of each array of a named tuple."""
        return type(value)(*map(self._head, value)) if isinstance(value, tuple) else value[: self._rows]
