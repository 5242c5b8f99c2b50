"""Pseudonyms of DICOM studies: who knows a UID cannot tell its report."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from dicom_factory import make_dataset, phantom, save

from cxreport.reading import pseudonym
from cxreport.reading.study import ReadOptions, read_studies

UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pseudonym._user_secret.cache_clear()
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "config"))
    return tmp_path / "config" / "cxreport"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(make_dataset(phantom(), StudyInstanceUID=UID), tmp_path / "a.dcm")


def id_of(file: Path, salt: str | None = None) -> str:
    pseudonym._user_secret.cache_clear()
    (study,) = read_studies([file], ReadOptions(salt=salt))
    return study.id


def test_the_secret_is_made_once_for_nobody_else(file: Path, home: Path) -> None:
    first = id_of(file)
    (key,) = home.iterdir()
    assert id_of(file) == first
    assert len(bytes.fromhex(key.read_text())) == 32
    if os.name != "nt":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    assert id_of(file) != first


def test_a_plain_digest_is_no_pseudonym(file: Path) -> None:
    digits = id_of(file).removeprefix("study-")
    assert len(digits) == 12
    assert digits not in sha256(UID.encode()).hexdigest()


def test_a_salt_takes_the_place_of_the_secret(file: Path, home: Path) -> None:
    assert id_of(file, "one") == id_of(file, "one") != id_of(file, "two")
    assert not home.exists()


def test_the_command_takes_a_salt(generate, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def id_by(*arguments: str) -> str:
        done = generate("--json", "--workers", 0, "--force", *arguments, file)
        return json.loads(done.stdout)["study"]["id"]

    assert id_by("--salt", "one") == id_of(file, "one") != id_by()
    monkeypatch.setenv("CXREPORT_SALT", "one")
    assert id_by() == id_of(file, "one")


@pytest.mark.parametrize("content", [b"", b"00", b"no digits", b"\xff" * 64, b"00" * 31])
def test_a_damaged_secret_is_done_without(
    file: Path, home: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """And kept: it may be mended. Nothing weaker takes its place."""
    home.mkdir(parents=True)
    (home / "pseudonym.key").write_bytes(content)
    assert id_of(file) != id_of(file)
    assert "--salt" in caplog.text
    assert (home / "pseudonym.key").read_bytes() == content


def test_a_folder_that_cannot_be_written_is_done_without(file: Path, home: Path) -> None:
    home.parent.write_text("a file where the folder should be")
    assert id_of(file).startswith("study-")


def test_runs_at_once_get_one_secret(home: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(lambda _: pseudonym._user_secret.__wrapped__(home), range(64)))
    assert len(secrets) == 1
    assert [path.name for path in home.iterdir()] == ["pseudonym.key"]
