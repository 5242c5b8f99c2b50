"""The program beside eager PyTorch that reads every prefix again, on the same studies, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from cxreport.bench.running import Files, draft, network_inputs
from cxreport.bench.spread import Spread
from cxreport.decode import decode
from cxreport.encode import encode
from cxreport.plan import HEAD, make_plan
from cxreport.session import Model
from cxreport.types import Pixels

_T = TypeVar("_T")


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
    from cxreport.train.eager import load_eager

    eager = load_eager(folder)
    inputs = [pixels for files in studies for pixels in network_inputs(model.manifest, files)]
    written = [(_words(model, pixels), eager.draft(pixels)) for pixels in inputs]  # warms up
    return Comparison(
        len(inputs),
        _per_study(lambda files: list(draft(model, files, 1, 0)), studies, repeats),
        _per_study(
            lambda files: [eager.draft(i) for i in network_inputs(model.manifest, files, True)], studies, repeats
        ),
        _per_study(lambda pixels: _words(model, pixels), inputs, repeats),
        _per_study(eager.draft, inputs, repeats),
        sum(ours == theirs for ours, theirs in written),
        eager.threads,
    )


def _per_study(action: Callable[[_T], object], studies: Sequence[_T], repeats: int) -> Spread:
    """Mean milliseconds in each repeat."""
    return Spread(tuple(fmean(_spent(action, study) for study in studies) for _ in range(repeats)))


def _spent(action: Callable[[_T], object], study: _T) -> float:
    start = time.perf_counter()
    action(study)
    return 1000 * (time.perf_counter() - start)


def _words(model: Model, pixels: Pixels) -> list[tuple[str, tuple[int, ...]]]:
    """What the program writes of a network input, before it puts it into words."""
    encodings = encode(model, [pixels])
    decodings = decode(model, encodings, [make_plan(model.manifest, encodings[0], HEAD)])
    return [(sentence.section, sentence.ids) for sentence in decodings[0].sentences]
