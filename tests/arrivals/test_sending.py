"""Sending by C-STORE and STOW-RS, with another implementation's server at the other end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from archive import Archive
from dicom_factory import make_dataset, phantom, save
from pydicom import dcmread, uid

from cxreport.arrivals.destination import destination
from cxreport.arrivals.sending import send
from cxreport.arrivals.sent import Answer
from cxreport.errors import DeliveryError

STORED, REFUSED, NOT_NOW = Answer.STORED, Answer.REFUSED, Answer.NOT_NOW


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A file in each of some transfer syntaxes."""
    encodings = ("explicit", "implicit", "deflated", "jpeg2000-lossless", "rle")
    return [save(make_dataset(phantom(64, 64), encoding=name), tmp_path / f"{name}.dcm") for name in encodings]


def answers(paths: list[Path], to: str) -> dict[str, tuple[Answer, str]]:
    return {sent.path.stem: (sent.answer, sent.reason) for sent in send(paths, destination(to), "CXREPORT")}


def encoded(path: Path) -> bytes:
    """Bytes of the data set of a file."""
    content = path.read_bytes()
    return content[144 + dcmread(path).file_meta.FileMetaInformationGroupLength :]


def test_bytes_arrive_as_they_are_in_the_file(files: list[Path]) -> None:
    with Archive() as archive:
        assert set(answers(files, archive.to).values()) == {(STORED, "")}
        assert dict(archive.stored) == {dcmread(path).SOPInstanceUID: encoded(path) for path in files}


def test_a_native_file_is_converted_for_an_archive_that_takes_another_native_syntax_only(files: list[Path]) -> None:
    with Archive(syntaxes=(uid.ImplicitVRLittleEndian,)) as archive:
        got = answers(files, archive.to)
        assert got["explicit"] == got["implicit"] == (STORED, "")
        assert got["jpeg2000-lossless"][0] is REFUSED
        assert "not taken" in got["jpeg2000-lossless"][1]
        assert len(archive.stored) == 2


@pytest.mark.parametrize(
    ("status", "answer"),
    [(0xB000, STORED), (0xB007, STORED), (0x0111, STORED), (0xA700, NOT_NOW), (0xA900, REFUSED), (0xC000, REFUSED)],
)
def test_statuses(files: list[Path], status: int, answer: Answer) -> None:
    with Archive() as archive:
        archive.status = lambda number: status
        (got,) = answers(files[:1], archive.to).values()
    assert got[0] is answer
    assert (f"{status:04X}" in got[1]) == (answer is not STORED)


@pytest.mark.parametrize("to", ["OTHER@127.0.0.1:{port}", "ARCHIVE@127.0.0.1:{free}", "ARCHIVE@host.invalid:104"])
def test_an_archive_that_cannot_be_used(files: list[Path], to: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with Archive() as archive, pytest.raises(DeliveryError) as failed:
        answers(files, to.format(port=archive.port, free=free))
    assert failed.value.exit_code == 7
    assert "AE title" in failed.value.message + failed.value.hint


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_what_is_no_dicom_file_is_refused_and_the_others_go(files: list[Path], tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other.dcm"
    other.write_bytes(content)
    with Archive() as archive:
        got = answers([other, *files[:1]], archive.to)
    assert (got["other"][0], got["explicit"][0]) == (REFUSED, STORED)


class Web(BaseHTTPRequestHandler):
    """STOW-RS of the test."""

    reply: Callable[[bytes], tuple[int, bytes]]
    requests: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).requests.append((self.path, dict(self.headers), body))
        status, answer = type(self).reply(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def web() -> Iterator[tuple[type[Web], str]]:
    kind = type("Served", (Web,), {"requests": [], "reply": staticmethod(lambda body: (200, b"{}"))})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()
    thread.join()
    server.server_close()


def failed_sop(reason: int) -> bytes:
    item = {"00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def test_stow_sends_a_request_per_file_with_its_bytes(files: list[Path], web: tuple[type[Web], str]) -> None:
    kind, url = web
    assert set(answers(files, url).values()) == {(STORED, "")}
    assert [path for path, _, _ in kind.requests] == ["/dicom-web/studies"] * len(files)
    for file, (_, headers, body) in zip(files, kind.requests, strict=True):
        boundary = headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = body.partition(b"\r\n\r\n")
        assert head == b"--" + boundary + b"\r\nContent-Type: application/dicom"
        assert rest == file.read_bytes() + b"\r\n--" + boundary + b"--\r\n"


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, b"", STORED),
        (200, b"<NativeDicomModel/>", STORED),
        (202, failed_sop(0xB000), STORED),
        (409, failed_sop(0x0111), STORED),
        (200, failed_sop(0xC000), REFUSED),
        (409, failed_sop(0xA900), REFUSED),
        (409, failed_sop(0xA700), NOT_NOW),
        (409, b"", REFUSED),
        (400, b"", REFUSED),
        (413, b"", REFUSED),
        (409, b'{"00081198": 3}', REFUSED),
    ],
)
def test_answers_of_stow(files: list[Path], web: tuple[type[Web], str], status: int, body: bytes, answer) -> None:
    kind, url = web
    kind.reply = staticmethod(lambda _: (status, body))
    (got,) = answers(files[:1], url).values()
    assert got[0] is answer


@pytest.mark.parametrize(
    ("status", "word"), [(401, "AUTHORIZATION"), (403, "AUTHORIZATION"), (404, "404"), (503, "503")]
)
def test_a_server_that_does_not_store(files: list[Path], web: tuple[type[Web], str], status: int, word: str) -> None:
    kind, url = web
    kind.reply = staticmethod(lambda _: (status, b""))
    with pytest.raises(DeliveryError) as failed:
        answers(files[:1], url)
    assert word in failed.value.message + failed.value.hint


def test_the_authorization_goes_with_every_request(files: list[Path], web: tuple[type[Web], str]) -> None:
    kind, url = web
    assert len(list(send(files[:2], destination(url, "Bearer secret"), "CXREPORT"))) == 2
    assert [headers["Authorization"] for _, headers, _ in kind.requests] == ["Bearer secret"] * 2
