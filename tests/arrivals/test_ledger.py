from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxreport.arrivals.identity import FileKind
from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.ledger_file import LEDGER
from cxreport.arrivals.states import ArrivedFile, IdentifiedFile, ResultFile
from cxreport.errors import UsageError


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path) as opened:
        yield opened


def arrive(ledger: Ledger, path: str, study: str, now: float, instance: str = "", size: int = 1) -> None:
    ledger.add([ArrivedFile(path, size, size)], now)
    ledger.enter([IdentifiedFile(path, FileKind.IMAGE, study, f"study-{study}", instance)])


def due(ledger: Ledger, now: float, quiet: float = 10, at_most: float = 60) -> dict[str, tuple[str, ...]]:
    return {study.key: study.paths for study in ledger.due(now, quiet, at_most, 100)}


def result(name: str, digest: str = "1", deliver: bool = True) -> ResultFile:
    return ResultFile(name, digest, deliver)


def states(ledger: Ledger) -> tuple[int, int, int, int]:
    counts = ledger.counts()
    return counts.received, counts.drafted, counts.delivered, counts.failed


def test_a_study_is_due_when_nothing_more_of_it_came_for_a_while(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100)
    arrive(ledger, "b", "A", 108)
    arrive(ledger, "c", "B", 112)
    assert due(ledger, 117) == {}
    assert due(ledger, 118.5) == {"A": ("a", "b")}
    assert due(ledger, 123) == {"A": ("a", "b"), "B": ("c",)}


def test_a_study_that_never_ends_is_drafted_all_the_same(ledger: Ledger) -> None:
    for second in range(0, 60, 5):
        arrive(ledger, f"{second}", "A", 100 + second)
    assert due(ledger, 159) == {}
    assert set(due(ledger, 160.5)) == {"A"}


def test_a_clock_that_was_put_back_makes_no_study_wait(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 1e9)
    assert set(due(ledger, 100)) == {"A"}


def test_a_late_image_has_its_study_drafted_anew_with_all_images(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100)
    ledger.drafted("A", [result("A.dcm")])
    assert states(ledger) == (0, 1, 0, 0)
    arrive(ledger, "b", "A", 500)
    assert due(ledger, 505) == {}
    assert due(ledger, 511) == {"A": ("a", "b")}


def test_an_instance_that_comes_again_is_drafted_once_unless_it_failed(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100, instance="1")
    ledger.drafted("A", [result("A.dcm")])
    arrive(ledger, "again", "A", 200, instance="1")
    assert states(ledger) == (0, 1, 0, 0)
    ledger.failed("A", "unreadable", "truncated")
    arrive(ledger, "repaired", "A", 300, instance="1")
    assert "repaired" in due(ledger, 311)["A"]


@pytest.mark.parametrize("kind", [FileKind.OWN_RESULT, FileKind.OTHER])
def test_what_is_no_image_starts_nothing(ledger: Ledger, kind: FileKind) -> None:
    arrive(ledger, "a", "A", 100)
    ledger.drafted("A", [])
    ledger.add([ArrivedFile("r", 1, 1)], 200)
    ledger.enter([IdentifiedFile("r", kind, "", "", "")])
    assert due(ledger, 1000) == {}
    assert ledger.counts().own_results == (kind is FileKind.OWN_RESULT)


def test_a_study_is_delivered_with_the_last_of_its_results(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100)
    ledger.drafted("A", [result("A.json", deliver=False), result("A.sr.dcm"), result("A.sc.dcm")])
    assert ledger.pending(10) == ["A.sc.dcm", "A.sr.dcm"]
    ledger.delivered("A.sr.dcm")
    assert states(ledger) == (0, 1, 0, 0)
    ledger.delivered("A.sc.dcm")
    assert states(ledger) == (0, 0, 1, 0)
    assert ledger.pending(10) == []


def test_a_result_that_is_the_same_after_a_second_draft_is_not_sent_again(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100)
    ledger.drafted("A", [result("A.dcm")])
    ledger.delivered("A.dcm")
    arrive(ledger, "b", "A", 200)
    ledger.drafted("A", [result("A.dcm")])
    assert (ledger.pending(10), states(ledger)) == ([], (0, 0, 1, 0))
    ledger.drafted("A", [result("A.dcm", digest="2")])
    assert (ledger.pending(10), states(ledger)) == (["A.dcm"], (0, 1, 0, 0))


def test_what_has_to_wait_stands_behind_the_others(ledger: Ledger) -> None:
    for name, second in (("A", 100), ("B", 200)):
        arrive(ledger, name, name, second)
        ledger.drafted(name, [result(f"{name}.dcm")])
    ledger.postponed("A.dcm", "out of resources")
    assert ledger.pending(10) == ["B.dcm", "A.dcm"]


def test_refused_results_and_failed_studies_are_told_and_tried_again_when_asked(ledger: Ledger) -> None:
    for name in "ABC":
        arrive(ledger, name, name, 100)
    ledger.drafted("A", [result("A.dcm")])
    ledger.refused("A.dcm", "status C000H")
    ledger.failed("B", "unreadable", "The file is truncated.")
    ledger.drafted("C", [])
    assert [(study.id, study.code) for study in ledger.unfinished()] == [
        ("study-B", "unreadable"),
        ("study-A", "refused"),
    ]
    assert due(ledger, 1e6) == {}
    assert ledger.rerun(None) == (1, 1)
    assert set(due(ledger, 1000)) == {"B"}
    assert ledger.pending(10) == ["A.dcm"]
    assert ledger.rerun(["study-C"]) == (1, 0)
    assert set(due(ledger, 1000)) == {"B", "C"}


def test_a_failure_that_may_pass_is_due_again_at_its_time(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100)
    ledger.failed("A", "timed-out", "", retry=200)
    assert due(ledger, 199) == {}
    assert set(due(ledger, 200)) == {"A"}


def test_a_file_that_changed_is_identified_and_drafted_again(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 100, size=1)
    ledger.failed("A", "unreadable", "")
    ledger.add([ArrivedFile("a", 1, 1)], 200)
    assert ledger.unidentified(10) == []
    arrive(ledger, "a", "A", 300, size=2)
    assert due(ledger, 305) == {}
    assert set(due(ledger, 311)) == {"A"}


@pytest.mark.skipif(os.name == "nt", reason="needs modes of POSIX")
def test_nobody_else_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    arrive(ledger, "a", "A", 100)
    files = list(tmp_path.iterdir())
    assert len(files) > 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_folders_without_a_ledger_and_damaged_ones_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing has arrived") as refused:
        Ledger(tmp_path, must_exist=True)
    assert "--inbox" in refused.value.hint
    (tmp_path / LEDGER).write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match="cannot be used") as refused:
        Ledger(tmp_path)
    assert "Move it away" in refused.value.hint


def test_a_result_that_is_drafted_anew_while_it_is_sent_stays_pending(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 0)
    ledger.drafted("A", [result("A.dcm", "old")])
    assert ledger.pending(10) == ["A.dcm"]
    ledger.drafted("A", [result("A.dcm", "new")])
    ledger.delivered("A.dcm")
    assert ledger.pending(10) == ["A.dcm"]
    ledger.delivered("A.dcm")
    assert ledger.pending(10) == []


def test_a_file_that_was_moved_is_an_image_of_its_study_again(ledger: Ledger) -> None:
    arrive(ledger, "a", "A", 0, instance="1")
    ledger.drafted("A", [result("A.json", deliver=False)])
    arrive(ledger, "sub/a", "A", 1, instance="1")
    assert ledger.unidentified(10) == []
    ledger.forget(["a"])
    assert ledger.unidentified(10) == ["sub/a"]
