"""`cxreport listen` in a process of its own, with pynetdicom as the sender and as the archive."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import timeless
from dicom_factory import make_dataset, phantom, save

archive = pytest.importorskip("archive")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

Archive, listening, send_all, wait_for = archive.Archive, archive.listening, archive.send_all, archive.wait_for
results_in = archive.results_in

ENCODINGS = ("explicit", "implicit", "big-endian", "deflated", "rle", "jpeg2000-lossless")
PLANTED = ("Planted", "SECRET-ID", "ACC-4711", "19501231", "Dr. Planted")


@pytest.fixture
def studies(tmp_path: Path) -> Callable[[int], list[Path]]:
    """Files of so many studies, in one transfer syntax after the other."""

    def make(number: int, **attributes: object) -> list[Path]:
        return [
            save(
                make_dataset(
                    phantom(64, 64) + place,
                    encoding=ENCODINGS[place % len(ENCODINGS)],
                    **{"PatientName": "Planted^Name", "PatientID": "SECRET-ID", "AccessionNumber": "ACC-4711"},
                    **{"PatientBirthDate": "19501231", "ReferringPhysicianName": "Dr. Planted", **attributes},
                ),
                tmp_path / "studies" / f"{place}.dcm",
            )
            for place in range(number)
        ]

    return make


def test_from_a_sender_to_reports_in_the_archive(tmp_path: Path, tiny_bundle, studies, generate) -> None:
    paths = studies(len(ENCODINGS))
    formats = ("--format", "jsonl", "--format", "sr", "--format", "sc")
    with Archive() as pacs, listening(tmp_path, tiny_bundle, "--to", pacs.to, "--once", *formats) as listener:
        assert send_all(paths, listener.port) == [0] * len(paths)
        assert listener.ended() == 0, listener.log.read_text()
    assert len({uid for uid, _ in pacs.stored}) == len(pacs.stored) == 2 * len(paths)

    drafted = [timeless((tmp_path / "results" / name).read_text())[0] for name in results_in(tmp_path, ".jsonl")]
    expected = {record["study"]["id"]: record for record in timeless(generate("--json", *paths).stdout)}
    assert {record["study"]["id"]: record["report"] for record in drafted} == {
        id_: record["report"] for id_, record in expected.items()
    }

    said = listener.log.read_text()
    inbox = [path for path in (tmp_path / "inbox").rglob("*") if path.is_file()]
    ledger = b"".join(path.read_bytes() for path in inbox if path.suffix != ".dcm")
    names = " ".join(path.name for folder in ("inbox", "results") for path in (tmp_path / folder).rglob("*"))
    for planted in (*PLANTED, "1.2.826.0.1"):
        assert planted not in said + names
        assert planted.encode() not in ledger
    assert {stat.S_IMODE(path.stat().st_mode) for path in inbox} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in inbox} == {0o700}


@pytest.mark.slow
def test_titles_are_checked_and_an_echo_is_answered(tmp_path: Path, tiny_bundle, studies) -> None:
    from cxreport.arrivals.destination import ApplicationEntity
    from cxreport.arrivals.store_scu import echo
    from cxreport.errors import DeliveryError

    (path,) = studies(1)
    with listening(tmp_path, tiny_bundle, "--from", "MODALITY", "--from", "OTHER") as listener:
        assert send_all([path], listener.port, called="SOMEBODY") == []
        assert send_all([path], listener.port, calling="STRANGER") == []
        assert send_all([path], listener.port, calling="OTHER") == [0]
        echo(ApplicationEntity("CXREPORT", "127.0.0.1", listener.port), "MODALITY")
        with pytest.raises(DeliveryError, match="rejected"):
            echo(ApplicationEntity("CXREPORT", "127.0.0.1", listener.port), "STRANGER")
        listener.until("an association was rejected: MODALITY called SOMEBODY")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_other_machines_may_send_only_if_they_are_named(run_cli, tmp_path: Path, host: str) -> None:
    result = run_cli("listen", "--inbox", tmp_path / "i", "--out", tmp_path / "o", "--host", host)
    assert result.exit_code == 2
    assert "--from" in result.stderr


def test_an_inbox_that_others_can_look_into_is_refused(run_cli, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir(mode=0o755)
    result = run_cli("listen", "--inbox", tmp_path / "inbox", "--out", tmp_path / "o", "--port", 0)
    assert result.exit_code == 2
    assert "others can look into it" in result.stderr


@pytest.mark.slow
def test_two_hundred_studies_in_four_associations_at_once(tmp_path: Path, tiny_bundle, studies) -> None:
    paths = studies(200)
    statuses: list[int] = []
    with listening(tmp_path, tiny_bundle, "--once", "--quiet", 3) as listener:
        senders = [
            threading.Thread(target=lambda part: statuses.extend(send_all(paths[part::4], listener.port)), args=(part,))
            for part in range(4)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert listener.ended() == 0
    assert statuses == [0] * 200
    assert len(results_in(tmp_path, ".json")) == 200


@pytest.mark.slow
def test_a_listener_that_is_killed_drafts_and_delivers_each_study_once(tmp_path: Path, tiny_bundle, studies) -> None:
    paths = studies(40)
    formats = ("--format", "json", "--format", "sr")
    done: list[int] = []
    with Archive() as pacs:
        for place, pause in enumerate((0.1, 0.7, 1.3, 2.0)):
            with listening(tmp_path, tiny_bundle, "--to", pacs.to, *formats) as listener:
                part = paths[10 * place : 10 * place + 10]
                done += send_all(part, listener.port)
                time.sleep(pause)
                listener.process.send_signal(signal.SIGKILL)
                listener.ended()
        with listening(tmp_path, tiny_bundle, "--to", pacs.to, *formats, "--once") as listener:
            assert listener.ended() == 0, listener.log.read_text()
            assert "40 studies: 0 received, 0 drafted, 40 delivered, 0 failed" in listener.log.read_text()
    assert done == [0] * 40
    assert len(results_in(tmp_path, ".json")) == len(results_in(tmp_path, ".sr.dcm")) == 40
    times = Counter(uid for uid, _ in pacs.stored)
    assert len(times) == 40
    assert len(set(pacs.stored)) == 40  # one that was under way at a kill comes again, as the same bytes
    assert sum(times.values()) <= 40 + 4


@pytest.mark.slow
def test_an_archive_that_is_down_gets_its_results_later(tmp_path: Path, tiny_bundle, studies) -> None:
    with Archive() as probe:
        port = probe.port
    paths = studies(3)
    with listening(tmp_path, tiny_bundle, "--to", f"ARCHIVE@127.0.0.1:{port}", "--format", "sr") as listener:
        send_all(paths, listener.port)
        listener.until("results wait to be delivered: .* cannot be reached")
        with Archive(port=port) as pacs:
            wait_for(lambda: len(pacs.stored) == 3)
        listener.until("results are delivered again")
    assert len(results_in(tmp_path, ".sr.dcm")) == 3


@pytest.mark.slow
def test_own_results_that_come_back_are_not_drafted(tmp_path: Path, tiny_bundle, studies) -> None:
    """The destination is the listener itself: what it delivers comes back, as from a PACS that forwards all."""
    paths = studies(3)
    with Archive() as probe:
        port = probe.port
    to = ("--to", f"CXREPORT@127.0.0.1:{port}", "--format", "sr", "--format", "sc", "--heartbeat", 1)
    with listening(tmp_path, tiny_bundle, *to, port=port) as listener:
        send_all(paths, port)
        listener.until("3 studies: 0 received, 0 drafted, 3 delivered, 0 failed")
        time.sleep(4)
        assert (
            listener.log.read_text()
            .rstrip()
            .splitlines()[-1][9:]
            .startswith("3 studies: 0 received, 0 drafted, 3 delivered, 0 failed")
        )
        assert len(list((tmp_path / "inbox").rglob("*.dcm"))) == 9
    assert len(results_in(tmp_path, ".sr.dcm")) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_when_what_is_in_hand_is_done(tmp_path: Path, tiny_bundle, studies, number, code) -> None:
    paths = studies(12)
    with Archive() as pacs:
        with listening(tmp_path, tiny_bundle, "--to", pacs.to, "--format", "sr") as listener:
            send_all(paths, listener.port)
            wait_for(lambda: bool(results_in(tmp_path, ".sr.dcm")))
            listener.process.send_signal(number)
            assert listener.ended() == code
        finished = len(results_in(tmp_path, ".sr.dcm"))
        assert len(pacs.stored) == finished
        said = listener.log.read_text()
        assert f"{finished} delivered" in said
        assert "Traceback" not in said
        with listening(tmp_path, tiny_bundle, "--to", pacs.to, "--format", "sr", "--once") as listener:
            assert listener.ended() == 0
    assert len({uid for uid, _ in pacs.stored}) == len(pacs.stored) == 12


@pytest.mark.slow
def test_a_second_listener_on_one_inbox_is_refused(tmp_path: Path, tiny_bundle, run_cli) -> None:
    with listening(tmp_path, tiny_bundle):
        result = run_cli("listen", "--inbox", tmp_path / "inbox", "--out", tmp_path / "other", "--port", 0)
    assert result.exit_code == 2
    assert "another run writes to it" in result.stderr
