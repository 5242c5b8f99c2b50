"""Sentence LSTM of a group of studies, step by step, with its state on the host or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.model.graphs import StudyInput, TopicInput, fill
from cxreport.types import Detail, Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

_STEP = "sentence_step"


class TopicOutput(NamedTuple):
    """Output of a step for the studies that remain, as `SentenceOutput` without the state."""

    topic: Floats
    stop: Floats
    section_next: Floats
    attention: Floats


class SentenceLoop(Protocol):
    """Group of studies whose reports end one after the other."""

    def step(self, topics: TopicInput) -> TopicOutput:
        """Make the next topic of the studies that remain."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the studies that remain."""


def start(model: Model, studies: StudyInput) -> SentenceLoop:
    """Begin the reports of a group."""
    return _DeviceLoop(model, studies) if _STEP in model.bound_steps else _HostLoop(model, studies)


class _HostLoop:
    """Studies leave the batch when their reports end."""

    def __init__(self, model: Model, studies: StudyInput) -> None:
        self._model, self._studies = model, studies
        self._hidden = self._cell = np.zeros((len(studies.tags), model.manifest.sizes.hidden), np.float32)

    def step(self, topics: TopicInput) -> TopicOutput:
        """Run the graph on the studies that remain."""
        output = self._model.sentence_step(self._studies, topics, self._hidden, self._cell)
        self._hidden, self._cell = output.hidden, output.cell
        return TopicOutput(output.topic, output.stop, output.section_next, output.attention)

    def keep(self, rows: Sequence[int]) -> None:
        """Cut the batch."""
        self._studies = StudyInput(*(array[rows] for array in self._studies))
        self._hidden, self._cell = self._hidden[rows], self._cell[rows]


class _DeviceLoop:
    """The studies' input goes to the device once, and the state never leaves it; all studies stay in the batch."""

    def __init__(self, model: Model, studies: StudyInput) -> None:
        size, sizes = len(studies.tags), model.manifest.sizes
        state = np.zeros((size, sizes.hidden), np.float32)
        self._topics: dict[str, NDArray[Any]] = {
            "plan": np.zeros((size, sizes.reporting_tags), np.float32),
            "detail": np.zeros((size, len(Detail)), np.float32),
            "section": np.zeros(size, np.int64),
        }
        inputs = studies._asdict() | self._topics | {"hidden": state, "cell": state}
        self._call_rows, self._remaining = model.rows_of(_STEP, size), np.arange(size)
        self._calls = [
            model.bound_step(_STEP, {name: self._cut(array, call) for name, array in inputs.items()}, call)
            for call in range(-(-size // self._call_rows))
        ]

    def step(self, topics: TopicInput) -> TopicOutput:
        """Run the calls that have studies that remain."""
        for name, array in topics._asdict().items():
            self._topics[name][self._remaining] = array
        calls, call_of = np.unique(self._remaining // self._call_rows, return_inverse=True)
        for call in calls:
            self._calls[call].put({name: self._cut(array, call) for name, array in self._topics.items()})
            self._calls[call].run()
        rows = call_of * self._call_rows + self._remaining % self._call_rows
        return TopicOutput(
            *(np.concatenate([self._calls[c].fetch(name) for c in calls])[rows] for name in TopicOutput._fields)
        )

    def keep(self, rows: Sequence[int]) -> None:
        """Pass over the others from now on."""
        self._remaining = self._remaining[rows]

    def _cut(self, array: NDArray[Any], call: int) -> NDArray[Any]:
        """The rows of an array that go into one call."""
        return fill(array[call * self._call_rows : (call + 1) * self._call_rows], self._call_rows)
