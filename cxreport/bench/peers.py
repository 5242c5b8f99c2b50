"""Programs that people would otherwise run beside this one, on the same files in the same run."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from cxreport.bench.eager import milliseconds
from cxreport.bench.spread import Spread
from cxreport.bench.workload import Files, draft, network_inputs
from cxreport.errors import NothingReadableError
from cxreport.model.cpus import encoder_threads
from cxreport.model.session import Model
from cxreport.types import Pixels

if TYPE_CHECKING:
    from cxreport.train.reference.peers import Peer

_MOST_FILES = {True: 3, False: 40}
"""Files for a peer that writes reports, which takes seconds for each, and for one that stops at tags."""


@dataclass(frozen=True)
class PeerTimes:
    """Milliseconds per file of a peer, and of the program on the same files, from the file to the result."""

    name: str
    versions: dict[str, str]
    output: str
    """``report`` or ``tags``: where the peer stops."""
    files: int
    threads: int
    """CPU threads of both."""
    peer: Spread
    """One file after the other, in one process."""
    ours_tags: Spread
    """All files in a run, as `cxreport generate --tags-only` does."""
    ours_report: Spread
    """The same with the report."""

    @property
    def tags_ratio(self) -> float:
        """Speed-up over the peer where the program stops at tags."""
        return self.peer.median / self.ours_tags.median

    @property
    def report_ratio(self) -> float:
        """Speed-up over the peer with the report written."""
        return self.peer.median / self.ours_report.median


def compare_with_peers(
    model: Model, studies: Sequence[Files], workers: int, batch_size: int, repeats: int
) -> tuple[PeerTimes, ...]:
    """Time each peer and the program by turns, after a run of both to warm up.

    Args:
        model: a loaded bundle.
        studies: the files of each; the first file of a study counts.
        workers: processes of the program that read.
        batch_size: of the program.
        repeats: of every measurement.

    Raises:
        NothingReadableError: a peer can read no file.
    """
    from cxreport.train.reference.peers import peers

    threads = encoder_threads()
    return tuple(
        _measure(peer, model, studies, threads, workers, batch_size, repeats)
        for peer in peers(threads, lambda path: _pixels(model, path))
    )


def _measure(
    peer: Peer, model: Model, studies: Sequence[Files], threads: int, workers: int, batch_size: int, repeats: int
) -> PeerTimes:
    readable = (files[0] for files in studies if _can_read(peer, files[0]))
    files = list(islice(readable, _MOST_FILES[peer.writes_report]))
    if not files:
        raise NothingReadableError(f"{peer.name} can read no study among the inputs.")

    def run_ours(tags_only: bool) -> None:
        deque(draft(model, files, batch_size, workers, tags_only), maxlen=0)

    run_ours(False)
    times = [
        (
            fmean(milliseconds(peer.run, path) for path in files),
            milliseconds(run_ours, True) / len(files),
            milliseconds(run_ours, False) / len(files),
        )
        for _ in range(repeats)
    ]
    theirs, tags, report = map(Spread, zip(*times, strict=True))
    return PeerTimes(
        name=peer.name,
        versions=peer.versions,
        output="report" if peer.writes_report else "tags",
        files=len(files),
        threads=threads,
        peer=theirs,
        ours_tags=tags,
        ours_report=report,
    )


def _can_read(peer: Peer, path: Path) -> bool:
    """Run a peer once: whether it reads a file, and to warm it up."""
    try:
        peer.run(path)
    except Exception:  # readers of research code raise anything
        return False
    return True


def _pixels(model: Model, path: Path) -> Pixels:
    """Every pixel decoded, at the size of the program's network input."""
    inputs = network_inputs(model.manifest, [path], every_pixel=True)
    if not inputs:
        raise NothingReadableError("The file cannot be read.")
    return inputs[0]
