"""The sentence LSTM of a group of studies, step by step: its state on the host, or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.model.gpu.io_binding import fill
from cxreport.types import Detail, Floats

if TYPE_CHECKING:
    from cxreport.model.session import Model

_STEP = "sentence_step"


class Topics(NamedTuple):
    """What a step gives for the studies that remain, as `SentenceOutput` has it."""

    topic: Floats
    stop: Floats
    section_next: Floats
    attention: Floats


class Unrolling(Protocol):
    """A group of studies, whose reports end one after the other."""

    def step(self, plan: Floats, detail: Floats, section: NDArray[np.int64]) -> Topics:
        """Make the next topic of the studies that remain, from inputs as `Model.sentence_step` takes them."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the studies that remain."""


def start(model: Model, patches: Floats, has_image: Floats, tags: Floats, unusual: Floats) -> Unrolling:
    """Begin the reports of a group, with inputs as `Model.sentence_step` takes them."""
    kind = _OnDevice if _STEP in model.bound_steps else _OnHost
    return kind(model, patches, has_image, tags, unusual)


class _OnHost:
    """Studies leave the batch when their reports end."""

    def __init__(self, model: Model, patches: Floats, has_image: Floats, tags: Floats, unusual: Floats) -> None:
        self._model, self._given = model, (patches, has_image, tags, unusual)
        self._hidden = self._cell = np.zeros((len(tags), model.manifest.sizes.hidden), np.float32)

    def step(self, plan: Floats, detail: Floats, section: NDArray[np.int64]) -> Topics:
        """As in `Unrolling`."""
        out = self._model.sentence_step(*self._given, plan, detail, section, self._hidden, self._cell)
        self._hidden, self._cell = out.hidden, out.cell
        return Topics(out.topic, out.stop, out.section_next, out.attention)

    def keep(self, rows: Sequence[int]) -> None:
        """As in `Unrolling`."""
        patches, has_image, tags, unusual = self._given
        self._given = patches[rows], has_image[rows], tags[rows], unusual[rows]
        self._hidden, self._cell = self._hidden[rows], self._cell[rows]


class _OnDevice:
    """What stays the same goes to the device once, and the state never leaves it; all studies stay in the batch."""

    def __init__(self, model: Model, patches: Floats, has_image: Floats, tags: Floats, unusual: Floats) -> None:
        number, sizes = len(tags), model.manifest.sizes
        state = np.zeros((number, sizes.hidden), np.float32)
        fixed: dict[str, NDArray[Any]] = {"patches": patches, "has_image": has_image, "tags": tags, "unusual": unusual}
        fixed |= {"hidden": state, "cell": state}
        self._changing: dict[str, NDArray[Any]] = {
            "plan": np.zeros((number, sizes.reporting_tags), np.float32),
            "detail": np.zeros((number, len(Detail)), np.float32),
            "section": np.zeros(number, np.int64),
        }
        self._rows, self._on = model.rows_of(_STEP, number), np.arange(number)
        self._steps = [
            model.bound_step(_STEP, {n: self._cut(a, call) for n, a in (fixed | self._changing).items()}, call)
            for call in range(-(-number // self._rows))
        ]

    def step(self, plan: Floats, detail: Floats, section: NDArray[np.int64]) -> Topics:
        """As in `Unrolling`."""
        for array, given in zip(self._changing.values(), (plan, detail, section), strict=True):
            array[self._on] = given
        calls, call_of = np.unique(self._on // self._rows, return_inverse=True)
        for call in calls:
            self._steps[call].put({n: self._cut(a, call) for n, a in self._changing.items()})
            self._steps[call].run()
        rows = call_of * self._rows + self._on % self._rows
        return Topics(*(np.concatenate([self._steps[c].fetch(f) for c in calls])[rows] for f in Topics._fields))

    def keep(self, rows: Sequence[int]) -> None:
        """As in `Unrolling`."""
        self._on = self._on[rows]

    def _cut(self, array: NDArray[Any], call: int) -> NDArray[Any]:
        """The rows of an array that go into one call."""
        return fill(array[call * self._rows : (call + 1) * self._rows], self._rows)
