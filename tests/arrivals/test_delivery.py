from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cxreport.arrivals import deliverer
from cxreport.arrivals.deliverer import Delivery
from cxreport.arrivals.identity import FileKind
from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.sent import Answer, Sent
from cxreport.arrivals.states import ArrivedFile, IdentifiedFile, ResultFile
from cxreport.errors import DeliveryError


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a result to deliver for each of three studies."""
    with Ledger(tmp_path) as opened:
        for number, name in enumerate("ABC"):
            opened.add([ArrivedFile(name, 1, 1)], number)
            opened.enter([IdentifiedFile(name, FileKind.IMAGE, name, f"study-{name}", "")])
            opened.drafted(name, [ResultFile(f"{name}.dcm", "1", True)])
        yield opened


class Destination:
    """Answers tries as it is told, and asks the delivery to stop after the last."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.tries: list[list[str]] = []

    def send(self, paths: Sequence[Path]) -> Iterator[Sent]:
        self.tries.append([path.stem for path in paths])
        for path in paths:
            answer = self.answers.pop(0) if self.answers else Answer.STORED
            if answer is None:
                raise DeliveryError("ARCHIVE cannot be reached.")
            yield Sent(path, answer, "" if answer is Answer.STORED else "why")
        if not self.answers:
            self.asked.put("stop")


def run(ledger: Ledger, destination: Destination, folder: Path) -> list[bool]:
    waiting: list[bool] = []
    Delivery(ledger, folder, destination.send, destination.asked, waiting.append).run()
    return waiting


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliverer, "FIRST_WAIT_S", 0.01)


def test_all_is_delivered_in_order_and_once(ledger: Ledger, tmp_path: Path) -> None:
    destination = Destination()
    assert run(ledger, destination, tmp_path) == []
    assert destination.tries == [["A", "B", "C"]]
    assert ledger.counts().delivered == 3


def test_what_was_not_delivered_is_tried_again_and_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    stored = Answer.STORED
    destination = Destination(None, stored, None, None, stored, stored)
    assert run(ledger, destination, tmp_path) == [True, False]
    assert destination.tries == [["A", "B", "C"], ["A", "B", "C"], ["B", "C"], ["B", "C"]]
    assert ledger.counts().delivered == 3


def test_a_refused_result_stays_and_the_others_go(ledger: Ledger, tmp_path: Path) -> None:
    destination = Destination(Answer.REFUSED)
    run(ledger, destination, tmp_path)
    counts = ledger.counts()
    assert (counts.delivered, counts.refused, counts.pending) == (2, 1, 0)
    assert [(study.id, study.message) for study in ledger.unfinished()] == [("study-A", "A.dcm: why")]


def test_what_has_to_wait_does_not_hold_the_others_up(ledger: Ledger, tmp_path: Path) -> None:
    destination = Destination(Answer.NOT_NOW)
    run(ledger, destination, tmp_path)
    assert ledger.counts().delivered in (2, 3)
    assert destination.tries[0] == ["A", "B", "C"]


def test_pauses_grow_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliverer, "FIRST_WAIT_S", 2.0)
    pauses = [deliverer._pause(failures) for failures in range(1, 40)]
    assert all(0.8 * 2 * 2**n <= pause <= 2 * 2**n for n, pause in enumerate(pauses[:7]))
    assert all(0.8 * 300 <= pause <= 300 for pause in pauses[10:])


def test_the_reason_is_kept_for_whoever_asks(ledger: Ledger, tmp_path: Path) -> None:
    destination = Destination(None)
    destination.asked.put("stop")
    run(ledger, destination, tmp_path)
    assert {study.message.partition(": ")[2] for study in ledger.unfinished()} == {"ARCHIVE cannot be reached."}
