"""`cxreport listen` with Orthanc at the other end, in a network namespace: it would listen at every address else."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from dicom_factory import real
from places import ROOT
from pydicom import dcmread

pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed"),
    pytest.mark.skipif(
        shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0,
        reason="a network namespace needs root and iproute2",
    ),
]

PLUGINS = (Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"), Path("/usr/lib/orthanc/libOrthancDicomWeb.so"))
FORWARD_ALL = "function OnStoredInstance(id, tags, metadata, origin) SendToModality(id, 'CXREPORT') end\n"
FETCH = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=20).read())"


class Namespace:
    """Network of its own with a loopback device, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"cxreport-{os.getpid()}"
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True)
        if made.returncode:
            pytest.skip("no network namespace can be made here")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: object) -> bytes:
        """Run a command to its end; what it writes."""
        done = subprocess.run(self._inside(*command), capture_output=True, timeout=120, cwd=ROOT)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def start(self, log: Path, *command: object) -> subprocess.Popen[bytes]:
        """Start a program."""
        with open(log, "ab") as stream:
            self.running.append(subprocess.Popen(self._inside(*command), stdout=stream, stderr=stream, cwd=ROOT))
        return self.running[-1]

    def stop(self, program: subprocess.Popen[bytes]) -> None:
        """End a program in order."""
        program.terminate()
        program.wait(60)
        self.running.remove(program)

    def close(self) -> None:
        for program in self.running:
            program.kill()
            program.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def _inside(self, *command: object) -> list[str]:
        return ["ip", "netns", "exec", self.name, *map(str, command)]


class Orthanc:
    """A server with its storage in a folder, which forwards all that it stores."""

    def __init__(self, network: Namespace) -> None:
        plugin = next((path for path in PLUGINS if path.exists()), None)
        if plugin is None:
            pytest.skip("orthanc-dicomweb is not installed")
        self.network = network
        self.folder = network.folder / "orthanc"
        self.folder.mkdir()
        (self.folder / "forward.lua").write_text(FORWARD_ALL)
        settings = {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": "ORTHANC",
            "DicomPort": 4242,
            "HttpPort": 8042,
            "AuthenticationEnabled": False,
            "RemoteAccessAllowed": False,
            "StableAge": 2,
            "Plugins": [str(plugin)],
            "LuaScripts": [str(self.folder / "forward.lua")],
            "DicomModalities": {"CXREPORT": ["CXREPORT", "127.0.0.1", 11112]},
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))

    def start(self) -> subprocess.Popen[bytes]:
        program = self.network.start(self.folder / "log", shutil.which("Orthanc"), self.folder / "orthanc.json")
        wait_for(lambda: self.fetch("system") is not None)
        return program

    def fetch(self, path: str) -> bytes | None:
        """Answer to a GET; None where there is none."""
        try:
            return self.network.run(sys.executable, "-c", FETCH, f"http://127.0.0.1:8042/{path}")
        except AssertionError:
            return None

    def instances(self, modality: str) -> list[dict[str, Any]]:
        """Instances of a modality, by QIDO-RS."""
        return json.loads(self.fetch(f"dicom-web/instances?Modality={modality}") or "[]")

    def retrieve(self, instance: dict[str, Any]) -> Any:
        """An instance, by WADO-RS."""
        study, series, sop = (instance[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        body = self.fetch(f"dicom-web/studies/{study}/series/{series}/instances/{sop}") or b""
        boundary = body.lstrip().split(b"\r\n", 1)[0].removeprefix(b"--")
        head = b'Content-Type: multipart/related; boundary="' + boundary + b'"\r\n\r\n'
        (part,) = message_from_bytes(head + body).get_payload()
        return dcmread(io.BytesIO(part.get_payload(decode=True)))


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path)
    yield made
    made.close()


@pytest.fixture
def listen(network: Namespace, tiny_bundle: Path, tmp_path: Path) -> Callable:
    """Start `cxreport listen` in the namespace."""

    def start(to: str) -> Path:
        log = tmp_path / "log"
        places = ("--inbox", tmp_path / "inbox", "--out", tmp_path / "results", "--model", tiny_bundle)
        formats = ("--format", "sr", "--format", "sc", "--device", "cpu", "--quiet", 1, "--heartbeat", 1)
        network.start(log, sys.executable, "-m", "cxreport", "listen", *places, *formats, "--force", "--to", to)
        wait_for(lambda: "listening as" in log.read_text())
        return log

    return start


def send(network: Namespace, to: str, *names: str) -> None:
    network.run(sys.executable, "-m", "cxreport", "send", *map(real, names), "--to", to, "--aet", "MODALITY")


@pytest.mark.parametrize("to", ["ORTHANC@127.0.0.1:4242", "http://127.0.0.1:8042/dicom-web"])
@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KI.dcm"])
def test_a_radiograph_in_orthanc_gets_its_report_there_once(
    network, listen, tmp_path: Path, name: str, to: str
) -> None:
    """Orthanc forwards all that it stores, the results too."""
    orthanc = Orthanc(network)
    orthanc.start()
    log = listen(to)
    send(network, "ORTHANC@127.0.0.1:4242", name)
    wait_for(lambda: "1 delivered" in log.read_text())
    wait_for(lambda: bool(orthanc.instances("SR")))
    time.sleep(6)  # results come back, and have come to rest
    source = dcmread(real(name), stop_before_pixels=True)
    (report,) = orthanc.instances("SR")
    (capture,) = [found for found in orthanc.instances("OT") if found["00080016"]["Value"][0].endswith("1.1.7")]
    for found in (report, capture):
        assert found["0020000D"]["Value"] == [source.StudyInstanceUID]
    fetched = orthanc.retrieve(report)
    assert fetched.SOPInstanceUID == report["00080018"]["Value"][0]
    assert fetched.VerificationFlag == "UNVERIFIED"
    assert "1 studies: 0 received, 0 drafted, 1 delivered, 0 failed" in log.read_text().splitlines()[-1]
    assert len(list((tmp_path / "inbox").rglob("*.dcm"))) == 3
    assert str(source.StudyInstanceUID) not in log.read_text()


def test_orthanc_that_is_down_gets_its_reports_when_it_is_up(network, listen) -> None:
    orthanc = Orthanc(network)
    program = orthanc.start()
    network.stop(program)
    log = listen("ORTHANC@127.0.0.1:4242")
    send(network, "CXREPORT@127.0.0.1:11112", "RG1_UNCR.dcm")
    wait_for(lambda: "results wait to be delivered" in log.read_text())
    orthanc.start()
    wait_for(lambda: "1 delivered" in log.read_text())
    assert len(orthanc.instances("SR")) == 1
