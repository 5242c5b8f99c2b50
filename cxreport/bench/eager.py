"""Eager PyTorch beside the program, on the same studies, one at a time; it reads every prefix of a sentence again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from cxreport.bench.spread import Spread
from cxreport.bench.workload import Files, draft, network_inputs
from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.types import Pixels

_T = TypeVar("_T")
_PAUSE = 0.1
"""Seconds before each measurement: threads of PyTorch wait for more work at full speed."""
_ONE_SEARCH = DecodeOptions(second_search=False)  # as eager PyTorch decodes


@dataclass(frozen=True)
class EagerComparison:
    """Milliseconds per study of the program and of eager PyTorch."""

    studies: int
    ours: Spread
    """Time from the file to the report, in this process."""
    eager: Spread
    """Time from the file, every pixel of it decoded, to the words of the report."""
    ours_networks: Spread
    """Time from the network's input to the words."""
    eager_networks: Spread
    same_words: int
    """Studies whose reports have the same words both ways."""
    threads: int
    """Threads of PyTorch."""

    @property
    def ratio(self) -> float:
        """Speed-up over eager PyTorch, from file to report."""
        return self.eager.median / self.ours.median

    @property
    def networks_ratio(self) -> float:
        """Speed-up of the networks alone."""
        return self.eager_networks.median / self.ours_networks.median


def compare_with_eager(model: Model, folder: Path, studies: Sequence[Files], repeats: int) -> EagerComparison:
    """Time both, by turns.

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
    pairs = [(_words(model, pixels), eager.draft(pixels)) for pixels in inputs]  # warms up
    files = _in_turns(
        lambda files: list(draft(model, files, 1, 0)),
        lambda files: [eager.draft(pixels) for pixels in network_inputs(model.manifest, files, every_pixel=True)],
        studies,
        repeats,
    )
    networks = _in_turns(lambda pixels: _words(model, pixels), eager.draft, inputs, repeats)
    return EagerComparison(
        studies=len(inputs),
        ours=files[0],
        eager=files[1],
        ours_networks=networks[0],
        eager_networks=networks[1],
        same_words=sum(ours == theirs for ours, theirs in pairs),
        threads=eager.threads,
    )


def _in_turns(
    ours: Callable[[_T], object], eager: Callable[[_T], object], studies: Sequence[_T], repeats: int
) -> tuple[Spread, Spread]:
    """Mean milliseconds in each repeat; by turns, so that whatever else the machine does hits both."""
    times = [[(milliseconds(ours, study), milliseconds(eager, study)) for study in studies] for _ in range(repeats)]
    means = [tuple(map(fmean, zip(*pairs, strict=True))) for pairs in times]
    return Spread(tuple(mean for mean, _ in means)), Spread(tuple(mean for _, mean in means))


def milliseconds(action: Callable[[_T], object], study: _T) -> float:
    """Time an action on a study, after a pause."""
    time.sleep(_PAUSE)
    start = time.perf_counter()
    action(study)
    return 1000 * (time.perf_counter() - start)


def _words(model: Model, pixels: Pixels) -> list[tuple[str, tuple[int, ...]]]:
    """Section and ids of words of each sentence that the program decodes from a network input."""
    encodings = encode(model, [pixels])
    decodings = decode(model, encodings, [make_plan(model.manifest, encodings[0], HEAD)], _ONE_SEARCH)
    return [(sentence.section, sentence.ids) for sentence in decodings[0].sentences]
