from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what comes out now")


def pytest_configure() -> None:
    """Take signals as a terminal gives them: background jobs of shells, and all that they start, ignore SIGINT.

    Under nohup it is SIGHUP that they ignore.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.name != "nt" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measurements of this machine go to a folder of their own, also those of processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The secret of pseudonyms is a fixed one, so that ids of DICOM studies in golden files are the same everywhere."""
    folder = tmp_path_factory.mktemp("config") / "cxreport"
    folder.mkdir()
    (folder / "pseudonym.key").write_text("00" * 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder.parent))
        patch.setenv("APPDATA", str(folder.parent))
        yield


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """A bundle with random weights, of under 100 kB."""
    return TESTS / "data" / "tiny_bundle"


@pytest.fixture(scope="session")
def tiny_captioner() -> Path:
    """A bundle that writes reports as one sequence from pictures in colour, of under 100 kB."""
    return TESTS / "data" / "tiny_captioner"


@pytest.fixture(scope="session")
def phantoms() -> Path:
    return TESTS.parent / "examples" / "phantoms"


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of shapes with captions, in COCO's layout."""
    import make_shapes

    folder = tmp_path_factory.mktemp("shapes")
    make_shapes.main(folder, 30, side=32, seed=1)
    return folder


@pytest.fixture
def shapes_copy(shapes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shapes, tmp_path / "copy")


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Run the command line in this process, at 80 columns without colour."""
    from cxreport.cli.app import app

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object, stdin: str | None = None):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return run


@pytest.fixture
def generate(run_cli: Callable, tiny_bundle: Path) -> Callable:
    """Run `cxreport generate` with the tiny bundle on the CPU."""

    def run(*arguments: object, stdin: str | None = None):
        return run_cli("generate", "--model", tiny_bundle, "--device", "cpu", *arguments, stdin=stdin)

    return run


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a file of tests/golden, or rewrite the file with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = TESTS / "golden" / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
