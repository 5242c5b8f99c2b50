"""Keeps what the networks are given in a real run: to calibrate on, or to time them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxreport.model.session import Model


class Recording:
    """Stands for a model and keeps what its methods are given.

    Attributes:
        manifest: of the model.
        given: method -> the arguments of each of its calls, arrays and named tuples of such.
    """

    def __init__(self, model: Model, rows: int | None = None) -> None:
        """Record the first ``rows`` rows of every call; None records all."""
        self.manifest, self._model, self._rows = model.manifest, model, rows
        self.given: dict[str, list[tuple[Any, ...]]] = {}
        self.bound_steps = frozenset[str]()  # what a bound step is given stays on its device

    def __getattr__(self, step: str) -> Any:
        run = getattr(self._model, step)

        def record(*inputs: Any) -> Any:
            self.given.setdefault(step, []).append(tuple(self._head(value) for value in inputs))
            return run(*inputs)

        return record

    def _head(self, value: Any) -> Any:
        """The first rows of an array, or of each array of a named tuple."""
        return type(value)(*map(self._head, value)) if isinstance(value, tuple) else value[: self._rows]
