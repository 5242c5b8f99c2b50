"""Run of a desk from the command line: model, reader processes, folders, and the numbers on stderr."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cxreport import DISCLAIMER
from cxreport.arrivals.deliverer import Deliverer
from cxreport.arrivals.desk import Desk, Reading, Source, Timing
from cxreport.arrivals.destination import destination
from cxreport.arrivals.identity import Identity, identify
from cxreport.arrivals.inbox import private_folder
from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.result_folder import ResultFolder
from cxreport.arrivals.states import Counts
from cxreport.cli.arrivals import AUTHORIZATION, chosen_formats
from cxreport.cli.errors import interrupt_arrived, interrupt_held, say
from cxreport.errors import ExitCode, NothingReadableError, UsageError
from cxreport.journal import Claim
from cxreport.model.choices import Device, Precision
from cxreport.model.cpus import fitting_batch_size
from cxreport.points import OperatingPoint
from cxreport.reading.ahead import read_ahead
from cxreport.reading.options import ReadOptions
from cxreport.reading.processes.limits import reader_limits
from cxreport.reading.processes.workers import Lost, Processes
from cxreport.reading.pseudonym import keyed_digest, secret

_FILES_OF_A_TASK = 16
_S = TypeVar("_S", bound=Source)


@dataclass(frozen=True)
class Arrivals:
    """What `cxreport listen` and `cxreport watch` were asked to do."""

    folder: Path
    """That files arrive in."""
    state: Path
    """Folder of the ledger."""
    out: Path
    formats: list[str] | None
    to: str | None
    title: str
    """Own AE title."""
    quiet: float
    at_most: float
    heartbeat: float
    once: bool
    max_megapixels: float
    timeout: float
    salt: str | None
    force: bool
    workers: int | None
    bundle: str | None
    operating_point: OperatingPoint
    device: Device
    precision: Precision


def run(asked: Arrivals, open_source: Callable[[Ledger], _S], told: Callable[[_S], str]) -> ExitCode:
    """Draft and deliver what arrives, until a signal comes or, once, until nothing is left.

    Args:
        asked: the options.
        open_source: opens what files come from.
        told: says that it is open.

    Raises:
        UsageError: options or folders do not go together.
        NothingReadableError: nothing was there to draft.
    """
    from cxreport.drafting import pipeline
    from cxreport.model.precision import load_model

    formats = chosen_formats(asked.formats, asked.to)
    authorization = os.environ.get(AUTHORIZATION, "")
    if asked.to:
        destination(asked.to, authorization)
    _check_folders(asked)
    with contextlib.ExitStack() as stack:
        for folder in dict.fromkeys((asked.out, asked.state)):
            claim = stack.enter_context(Claim(folder, is_folder=True))
            if os.name != "nt":
                os.fchmod(claim.stream.fileno(), 0o600)
        limits = reader_limits(asked.timeout, asked.max_megapixels)
        processes, identifying = (stack.enter_context(Processes(limits)) for _ in range(2))
        identifying.start()
        processes.start()
        model = load_model(asked.bundle, device=asked.device, precision=asked.precision, side_by_side=True)
        shape = model.manifest.input_shape
        options = ReadOptions(force=asked.force, max_megapixels=asked.max_megapixels, salt=asked.salt).fitting(shape)
        drafting = pipeline.GenerateOptions(
            batch_size=fitting_batch_size(),
            point=asked.operating_point,
            force=asked.force,
            attention=any(row.needs_attention for row in formats),
        )
        key = secret(asked.salt)
        reading = Reading(
            identify=functools.partial(_identified, identifying),
            read=lambda paths: read_ahead(
                paths, options, shape, asked.workers, processes=None if asked.workers == 0 else processes
            ),
            key_of=lambda digest: keyed_digest(digest, key),
        )
        ledger = stack.enter_context(Ledger(asked.state))
        source = open_source(ledger)
        deliverer = None
        if asked.to:
            deliverer = Deliverer(asked.state, asked.out, asked.to, authorization, asked.title)
        desk = Desk(
            asked.folder,
            ledger,
            source,
            reading,
            draft=lambda studies: pipeline.generate(model, studies, drafting),
            results=ResultFolder(asked.out, formats, model.manifest, deliver=asked.to is not None),
            deliverer=deliverer,
            timing=Timing(asked.quiet, asked.at_most, asked.heartbeat),
            tell=_Heartbeat(),
        )
        say(DISCLAIMER, told(source))
        with interrupt_held():  # what is in hand is finished first
            counts = desk.run(interrupt_arrived, once=asked.once)
            _tell(counts)
    return _exit_code(counts)


class _Heartbeat:
    """Tells the numbers, and how many studies were done in a minute."""

    def __init__(self) -> None:
        self._done: int | None = None
        self._since = time.monotonic()

    def __call__(self, counts: Counts) -> None:
        done = counts.drafted + counts.delivered + counts.failed
        now = time.monotonic()
        rate = "" if self._done is None else f", {60 * (done - self._done) / (now - self._since):.0f} a minute"
        self._done, self._since = done, now
        _tell(counts, rate)


def _tell(counts: Counts, more: str = "") -> None:
    waiting = f", results to deliver: {counts.pending}" if counts.pending else ""
    refused = f", results not taken: {counts.refused}" if counts.refused else ""
    say(
        f"{time.strftime('%H:%M:%S')} {counts.studies} studies: {counts.received} received, {counts.drafted} drafted, "
        f"{counts.delivered} delivered, {counts.failed} failed{waiting}{refused}{more}"
    )


def _exit_code(counts: Counts) -> ExitCode:
    """Exit code of a run that ended by itself."""
    if counts.pending or counts.refused:
        return ExitCode.NOT_DELIVERED
    if not counts.failed:
        if not counts.studies:
            raise NothingReadableError("No study among what arrived.")
        return ExitCode.OK
    return ExitCode.SOME_FAILED if counts.drafted or counts.delivered else ExitCode.NOTHING_READABLE


def _check_folders(asked: Arrivals) -> None:
    """Make the folder of results where there is none, for its owner alone."""
    if asked.folder.resolve() == asked.out.resolve():
        raise UsageError(f"{asked.out}: results would lie among the files that are read.", hint="Name another --out.")
    if asked.out.is_dir():
        return
    private_folder(asked.out)


def _identified(processes: Processes, paths: Sequence[str]) -> list[Identity | None]:
    """Identities of files, some at a time; where that fails, of each of the few alone."""
    few = [paths[start : start + _FILES_OF_A_TASK] for start in range(0, len(paths), _FILES_OF_A_TASK)]
    found: list[Identity | None] = []
    for some, answer in zip(few, list(processes.map(identify, few, 1)), strict=True):
        if not isinstance(answer, Lost):
            found += answer
            continue
        for alone in list(processes.map(identify, [[path] for path in some], 1)):
            found += [None] if isinstance(alone, Lost) else alone
    return found
