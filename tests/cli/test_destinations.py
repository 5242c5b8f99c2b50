"""What ``--out`` names: files, links, and what is written to and never replaced."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import records, start
from limits import file_size_limit
from places import ROOT

from cxreport.errors import ExitCode
from cxreport.journal import Claim
from cxreport.output.file_writers import FileWriter
from cxreport.output.formats import FORMATS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")


@pytest.fixture
def flags(phantoms: Path) -> tuple[object, ...]:
    """Arguments of a run of one study."""
    return (phantoms / "rle.dcm", "--tags-only", "--json", "--out")


@contextlib.contextmanager
def reader(read) -> Iterator[list[bytes]]:
    """Collect what a function reads in another thread."""
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read()), daemon=True)
    thread.start()
    yield got
    thread.join(timeout=60)


def test_a_fifo_is_written_to(generate, flags, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with reader(fifo.read_bytes) as got:
        assert generate(*flags, fifo).exit_code == 0
    assert len(records(got[0].decode())) == 1
    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("fifo", True)]


def test_a_socket_is_written_to(generate, flags, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def read() -> bytes:
            with server.accept()[0] as connection, connection.makefile("rb") as stream:
                return stream.read()

        with reader(read) as got:
            assert generate(*flags, path).exit_code == 0
        assert len(records(got[0].decode())) == 1
        assert path.is_socket()


def test_a_device_is_written_to(generate, flags, tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        node.write_text("")
    except OSError:
        pytest.skip("needs the right to make devices")
    assert generate(*flags, node).exit_code == 0
    assert [(path.name, path.is_char_device()) for path in tmp_path.iterdir()] == [("null", True)]


@pytest.mark.parametrize("target", ["file", "new"])
def test_a_link_stays_and_its_target_is_written(generate, flags, tmp_path: Path, target: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(Path("there") / target)
    assert generate(*flags, link).exit_code == 0
    assert link.is_symlink()
    assert len(records((tmp_path / "there" / target).read_text())) == 1
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == sorted({"file", target})


@pytest.mark.parametrize("out", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_an_open_descriptor_is_written_to(tiny_bundle, flags, tmp_path: Path, out: str) -> None:
    """The file behind it belongs to whoever opened it: it is appended to, not replaced."""
    if not Path("/dev/fd").exists():
        pytest.skip("needs /dev/fd")
    (tmp_path / "link").symlink_to("/dev/stdout")
    log = tmp_path / "log"
    log.write_text("first\n")
    with log.open("a") as stdout:
        place = tmp_path / "link" if out == "link" else out
        command = ["generate", "--model", tiny_bundle, "--device", "cpu", *flags, place]
        subprocess.run(
            [sys.executable, "-m", "cxreport", *map(str, command)], stdout=stdout, check=True, timeout=120, cwd=ROOT
        )
    first, rest = log.read_text().split("\n", 1)
    assert (first, len(records(rest))) == ("first", 1)


def test_a_link_in_a_circle_cannot_be_written(generate, flags, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    done = generate(*flags, tmp_path / "a")
    assert (done.exit_code, "cannot be written" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["out.partial", "out.journal"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_lies_in_the_way_is_not_written_to(generate, flags, tmp_path: Path, name: str, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    if kind == "link":
        (tmp_path / name).symlink_to(victim)
    else:
        os.mkfifo(tmp_path / name)
    done = generate(*flags, tmp_path / "out")
    assert (done.exit_code, "cannot be written" in done.stderr) == (2, True)
    assert victim.read_text() == "keep me"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "victim"])


@pytest.mark.parametrize("out", ["out.jsonl", "out/"])
def test_two_runs_to_one_place_refuse_each_other(generate, flags, tmp_path: Path, out: str) -> None:
    place = f"{tmp_path}/{out}"
    if out == "out/":
        Path(place).mkdir()
    with Claim(Path(place), is_folder=out == "out/"):
        done = generate(*flags, place)
    assert (done.exit_code, "another run writes to it" in done.stderr) == (2, True)
    assert generate(*flags, place).exit_code == 0


def test_a_full_disk_ends_the_run_with_whole_lines(generate, phantoms, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    common = (phantoms, "--batch-size", 1, "--tags-only", "--out", out)
    assert generate(*common).exit_code == 0
    size = out.stat().st_size
    out.unlink()
    with file_size_limit(size // 2):
        done = generate(*common)
    assert done.exit_code == ExitCode.UNEXPECTED
    assert f"error: {out}.partial: cannot be written (File too large).\nhint: Make room" in done.stderr
    assert f"results so far: {out}.partial\n" in done.stderr
    assert 0 < len(records(out.with_name("out.jsonl.partial").read_text())) < 7
    assert generate(*common, "--resume").exit_code == 0
    assert len(records(out.read_text())) == 7


def test_a_full_disk_and_a_folder(generate, phantoms, tmp_path: Path) -> None:
    common = (phantoms, "--batch-size", 1, "--tags-only", "--json", "--out", f"{tmp_path}/out/")
    with file_size_limit(1000):
        done = generate(*common)
    assert done.exit_code == ExitCode.UNEXPECTED
    assert re.search(r"error: .*/out/.*\.jsonl: cannot be written \(File too large\)", done.stderr)
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".jsonl"]


def test_a_file_that_vanishes_ends_the_run_at_once(generate, phantoms, tmp_path: Path, monkeypatch) -> None:
    out, written = tmp_path / "out.jsonl", []
    write = FileWriter.write

    def write_and_remove(self, *arguments: object) -> object:
        outcome = write(self, *arguments)
        written.append(1)
        out.with_name("out.jsonl.partial").unlink()
        return outcome

    monkeypatch.setattr(FileWriter, "write", write_and_remove)
    done = generate(phantoms, "--batch-size", 1, "--tags-only", "--out", out)
    assert (done.exit_code, len(written)) == (ExitCode.UNEXPECTED, 1)
    assert f"error: {out}.partial: was moved or removed while it was written." in done.stderr
    assert "unexpected" not in done.stderr


def test_a_full_device_as_stdout(tiny_bundle, phantoms) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cxreport", "generate", "--model", tiny_bundle, phantoms / "rle.dcm", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            cwd=ROOT,
        )
    assert done.returncode == ExitCode.UNEXPECTED
    assert "error: stdout: cannot be written (No space left on device)." in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("name", "suffix"), [(row.name, row.suffix) for row in FORMATS.values() if not (row.needs_header or row.needs_text)]
)
def test_the_suffix_chooses_the_format(generate, phantoms, tmp_path: Path, name: str, suffix: str) -> None:
    by_suffix, by_name = tmp_path / f"a{suffix}", tmp_path / "b"
    assert generate(phantoms / "rle.dcm", "--tags-only", "--out", by_suffix).exit_code == 0
    assert generate(phantoms / "rle.dcm", "--tags-only", "--format", name, "--out", by_name).exit_code == 0
    assert by_suffix.read_bytes()[:10] == by_name.read_bytes()[:10]
    assert generate(phantoms / "rle.dcm", "--tags-only", "--json", "--out", by_suffix).exit_code == 0
    assert len(records(by_suffix.read_text())) == 1


@pytest.mark.parametrize("suffix", [".XML", ".docx", ".xlsx"])
def test_a_suffix_that_no_format_has_is_refused(generate, phantoms, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"r{suffix}"
    done = generate(phantoms / "rle.dcm", "--out", out)
    assert done.exit_code == 2
    assert f"{out}: no output format has the suffix {suffix.lower()}." in done.stderr
    assert not list(tmp_path.iterdir())
    assert generate(phantoms / "rle.dcm", "--tags-only", "--format", "text", "--out", out).exit_code == 0


@pytest.mark.parametrize(
    ("redirection", "results"), [("2>&-", 1), ("2>/dev/full", 1), (">&-", 0), ("<&-", 1), (">&- 2>&- <&-", 0)]
)
def test_closed_streams_do_not_end_the_run(tiny_bundle, phantoms, redirection: str, results: int) -> None:
    command = ["generate", "--model", tiny_bundle, "--json", "--tags-only", phantoms / "rle.dcm"]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "cxreport", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert len(records(done.stdout)) == results
    assert "Traceback" not in done.stderr
    assert ("warning: stdout is closed" in done.stderr) == (redirection == ">&-")


def test_a_reader_of_messages_that_goes_away_does_not_end_the_run(tiny_bundle, phantoms) -> None:
    process = start("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--tags-only", phantoms)
    process.stderr.close()
    assert len(records(process.stdout.read())) == 7
    assert process.wait(timeout=60) == 0
