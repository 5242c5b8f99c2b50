"""An archive that takes instances by C-STORE, a listener in a process of its own, and senders: for arrivals."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from places import ROOT
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt

SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"),
)


class Archive:
    """A PACS of the test: keeps what it gets, or answers as it is told.

    Attributes:
        stored: (SOP Instance UID, bytes of the data set) in the order in which they came.
        status: of the next answers.
    """

    def __init__(self, title: str = "ARCHIVE", port: int = 0, syntaxes: Sequence[str] = SYNTAXES) -> None:
        self.stored: list[tuple[str, bytes]] = []
        self.status: Callable[[int], int] = lambda number: 0
        self._entity = AE(ae_title=title)
        self._entity.require_called_aet = True
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(context.abstract_syntax, list(syntaxes))
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = self._entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]
        self.to = f"{title}@127.0.0.1:{self.port}"

    def _store(self, event: Any) -> int:
        status = self.status(len(self.stored))
        if status == 0 or status >> 12 == 0xB:
            self.stored.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset(include_meta=False)))
        return status

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._entity.shutdown()


class Listener:
    """`cxreport listen` or `cxreport watch` in a process of its own."""

    def __init__(self, log: Path, *arguments: object, bundle: Path) -> None:
        self.log = log
        command = (*arguments, "--model", bundle, "--device", "cpu", "--workers", 1)
        with open(log, "a") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cxreport", *map(str, command)],
                stdout=stream,
                stderr=stream,
                cwd=ROOT,
            )
        self.port = 0

    def until(self, pattern: str, seconds: float = 120.0) -> re.Match[str]:
        """Wait for a text in what it says."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            match = re.search(pattern, self.log.read_text())
            if match:
                return match
            if self.process.poll() is not None and not re.search(pattern, self.log.read_text()):
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} is not in:\n{self.log.read_text()}")

    def ended(self, seconds: float = 120.0) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def listening(folder: Path, bundle: Path, *arguments: object, port: int = 0, name: str = "log") -> Iterator[Listener]:
    """`cxreport listen` into ``inbox`` and ``results`` of a folder, ended with the block."""
    log = folder / name
    log.unlink(missing_ok=True)
    places = ("--inbox", folder / "inbox", "--out", folder / "results", "--port", port)
    listener = Listener(log, "listen", *places, "--quiet", 0.5, *arguments, bundle=bundle)
    try:
        listener.port = int(listener.until(r"listening as \S+ at 127.0.0.1:(\d+)")[1])
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()


def send_all(paths: Sequence[Path], port: int, calling: str = "MODALITY", called: str = "CXREPORT") -> list[int]:
    """Send files in one association, in the transfer syntaxes that they have; the statuses."""
    data_sets = [dcmread(path) for path in paths]
    kinds = {(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) for one in data_sets}
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(kinds)]
    association = AE(ae_title=calling).associate("127.0.0.1", port, contexts=contexts, ae_title=called)
    if not association.is_established:
        return []
    try:
        return [int(association.send_c_store(one).Status) for one in data_sets]
    finally:
        association.release()


def results_in(folder: Path, suffix: str) -> list[str]:
    """Names of the results of a format."""
    return sorted(path.name for path in (folder / "results").glob(f"*{suffix}"))


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
