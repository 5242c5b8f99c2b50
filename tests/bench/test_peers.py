"""Other programs beside this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cxreport.bench.peers import PeerTimes, compare_with_peers
from cxreport.bench.result import to_json
from cxreport.bench.spread import Spread
from cxreport.bench.studies import Size, write_studies
from cxreport.errors import NothingReadableError
from cxreport.model.session import Model

peers = pytest.importorskip("cxreport.train.reference.peers", reason="needs the train extra", exc_type=ImportError)
TIMES = PeerTimes("a", {"torch": "2"}, "tags", 2, 2, Spread((600.0, 400.0)), Spread((20.0,)), Spread((25.0,)))


@pytest.fixture
def studies(tmp_path: Path) -> list[list[Path]]:
    write_studies(tmp_path, 5, Size(64, 64), {"png": 1.0})
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    return [[path] for path in sorted(tmp_path.iterdir())]


def test_ratios_are_of_medians() -> None:
    assert (TIMES.tags_ratio, TIMES.report_ratio) == (25.0, 20.0)
    assert json.loads(json.dumps(to_json(TIMES)))["report_ratio"] == 20.0


def test_peers_and_the_program_take_the_same_files(
    tiny_bundle: Path, studies: list[list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, list[Path]] = {"tags": [], "report": []}

    def known(threads: int, read: Callable[[Path], object]) -> list[object]:
        def run(output: str) -> Callable[[Path], None]:
            return lambda path: (read(path), taken[output].append(path))

        return [peers.Peer(output, {}, output == "report", run(output)) for output in taken]

    monkeypatch.setattr(peers, "peers", known)
    tags, report = compare_with_peers(Model.load(tiny_bundle, "cpu"), studies, 0, 8, 2)
    assert (tags.output, tags.files, report.output, report.files) == ("tags", 5, "report", 3)
    assert len(taken["tags"]) == 5 * 3  # warm-up, and two repeats
    assert {path.name for path in taken["tags"]} == {path.name for (path,) in studies if path.name != "damaged.png"}
    assert all(len(spread.repeats) == 2 for spread in (tags.peer, tags.ours_tags, tags.ours_report))


def test_files_that_no_peer_reads(
    tiny_bundle: Path, studies: list[list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "peers", lambda threads, read: [peers.Peer("a peer", {}, False, read)])
    with pytest.raises(NothingReadableError, match="a peer can read no study"):
        compare_with_peers(Model.load(tiny_bundle, "cpu"), [[Path("absent.png")]], 0, 8, 1)


def test_the_transformer_writes_as_many_words_as_fit() -> None:
    from cxreport.train.reference.transformer import ReportTransformer, TransformerSizes

    torch = pytest.importorskip("torch")
    network = ReportTransformer(TransformerSizes(width=16, layers=1, heads=2, words=30, length=5, beam=2))
    ids = network.write(torch.rand(40, 30))
    assert len(ids) == 5
    assert all(0 <= word < 30 for word in ids)
    torch.manual_seed(0)
    assert network.write(torch.zeros(40, 30)) == network.write(torch.zeros(40, 30))


def test_without_the_extra(run_cli: Callable, tiny_bundle: Path, studies: list[list[Path]], monkeypatch) -> None:
    import importlib.util

    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torchxrayvision" else spec(name))
    skipped = [option for part in ("stages", "decoding", "kernels", "wall", "eager") for option in ("--skip", part)]
    done = run_cli("bench", "--model", tiny_bundle, "--device", "cpu", *skipped, "--peers", *studies[0])
    assert done.exit_code == 5
    assert "pip install 'cxreport[peers]'" in done.stderr
