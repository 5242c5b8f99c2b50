"""The program beside eager PyTorch that reads every prefix again, on the same studies, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from cxreport.bench.spread import Spread
from cxreport.bench.workload import Files, draft, network_inputs
from cxreport.drafting.decode import decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.types import Pixels

_T = TypeVar("_T")
_PAUSE = 0.1
"""Seconds before each measurement: threads of PyTorch wait for more work at full speed."""


@dataclass(frozen=True)
class Comparison:
    """Milliseconds per study."""

    studies: int
    ours: Spread
    """From the file to the report, in this process."""
    eager: Spread
    """From the file, every pixel of it decoded, to the words of the report."""
    ours_networks: Spread
    """From the network's input to the words."""
    eager_networks: Spread
    same_words: int
    """Studies whose reports have the same words both ways."""
    threads: int
    """Of PyTorch."""

    @property
    def ratio(self) -> float:
        """How many times as fast the program is, from file to report."""
        return self.eager.median / self.ours.median

    @property
    def networks_ratio(self) -> float:
        """The same of the networks alone."""
        return self.eager_networks.median / self.ours_networks.median


def compare(model: Model, folder: Path, studies: Sequence[Files], repeats: int) -> Comparison:
    """Time both.

    Args:
        model: the program's, in any precision.
        folder: of the float bundle.
        studies: the files of each.
        repeats: of every measurement.

    Raises:
        BundleError: eager PyTorch cannot run the bundle.
    """
    from cxreport.train.reference.eager import load_eager

    eager = load_eager(folder)
    inputs = [pixels for files in studies for pixels in network_inputs(model.manifest, files)]
    written = [(_words(model, pixels), eager.draft(pixels)) for pixels in inputs]  # warms up
    files = _in_turns(
        lambda files: list(draft(model, files, 1, 0)),
        lambda files: [eager.draft(pixels) for pixels in network_inputs(model.manifest, files, every_pixel=True)],
        studies,
        repeats,
    )
    networks = _in_turns(lambda pixels: _words(model, pixels), eager.draft, inputs, repeats)
    same = sum(ours == theirs for ours, theirs in written)
    return Comparison(len(inputs), *files, *networks, same, eager.threads)


def _in_turns(
    ours: Callable[[_T], object], eager: Callable[[_T], object], studies: Sequence[_T], repeats: int
) -> tuple[Spread, Spread]:
    """Mean milliseconds in each repeat; by turns, so that whatever else the machine does hits both."""
    spent = [[(_spent(ours, study), _spent(eager, study)) for study in studies] for _ in range(repeats)]
    means = [tuple(map(fmean, zip(*pairs, strict=True))) for pairs in spent]
    return Spread(tuple(mean for mean, _ in means)), Spread(tuple(mean for _, mean in means))


def _spent(action: Callable[[_T], object], study: _T) -> float:
    time.sleep(_PAUSE)
    start = time.perf_counter()
    action(study)
    return 1000 * (time.perf_counter() - start)


def _words(model: Model, pixels: Pixels) -> list[tuple[str, tuple[int, ...]]]:
    """What the program writes of a network input, before it puts it into words."""
    encodings = encode(model, [pixels])
    decodings = decode(model, encodings, [make_plan(model.manifest, encodings[0], HEAD)])
    return [(sentence.section, sentence.ids) for sentence in decodings[0].sentences]
