"""Which precision of a bundle runs: what is there, what the CPU can, and what was measured."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from cxreport.errors import BundleError
from cxreport.model import cpus, precision
from cxreport.model.bundle import load_manifest
from cxreport.model.choices import Device
from cxreport.model.precision import load_model, precision_facts
from cxreport.model.session import EncoderOutput, Model

MODERN, OLD = (
    "flags : sse2 avx2 avx512_vnni\nmodel name : Made up 9000\n",
    "flags : sse2 avx2\nmodel name : Made up 1\n",
)


@pytest.fixture
def pair(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A float bundle that holds what passes for its int8 bundle: the same graphs under another name."""
    folder = tmp_path / "pair"
    shutil.copytree(tiny_bundle, folder)
    shutil.copytree(tiny_bundle, folder / "int8")
    edit(folder / "int8", precision="int8", quantised_from=load_manifest(folder).sha256)
    return folder


@pytest.fixture(autouse=True)
def modern_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(precision.sys, "platform", "linux")
    path = tmp_path / "cpuinfo"
    path.write_text(MODERN)
    monkeypatch.setattr(cpus, "_CPUINFO", path)
    return path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def take(milliseconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make encoders take so long by a clock that only they move; what ran is returned."""
    now, ran = [0.0], list[str]()
    encode = Model.encode_batch

    def timed(self: Model, image: object) -> EncoderOutput:
        ran.append(self.manifest.precision)
        now[0] += milliseconds[self.manifest.precision] / 1000
        return encode(self, image)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "encode_batch", timed)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: now[0])
    return ran


@pytest.mark.parametrize(("int8", "faster"), [(20.0, "int8"), (79.0, "int8"), (81.0, "float32"), (300.0, "float32")])
def test_the_faster_one_runs_and_is_measured_once(
    pair: Path, monkeypatch: pytest.MonkeyPatch, int8: float, faster: str
) -> None:
    manifest = load_manifest(pair)
    assert precision_facts(pair, manifest).on_cpu is None
    ran = take({"float32": 100.0, "int8": int8}, monkeypatch)
    assert load_model(pair, device="cpu").manifest.precision == faster
    assert set(ran) == {"float32", "int8"}
    measured = len(ran)
    assert load_model(pair, device="cpu").manifest.precision == faster
    assert len(ran) == measured
    facts = precision_facts(pair, manifest)
    assert (facts.on_cpu, facts.measured_ms) == (faster, {"float32": 100.0, "int8": pytest.approx(int8)})


def test_a_cpu_that_may_saturate_sums_never_gets_int8_unasked(
    pair: Path, modern_cpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modern_cpu.write_text(OLD)
    ran = take({"float32": 100.0, "int8": 1.0}, monkeypatch)
    assert load_model(pair, device="cpu").manifest.precision == "float32"
    assert not ran
    assert not precision_facts(pair, load_manifest(pair)).dot_product
    assert load_model(pair, device="cpu", precision="int8").manifest.precision == "int8"


def test_another_cpu_or_bundle_is_measured_anew(pair: Path, modern_cpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = take({"float32": 100.0, "int8": 20.0}, monkeypatch)
    load_model(pair, device="cpu")
    once = len(ran)
    modern_cpu.write_text(MODERN.replace("9000", "9001"))
    load_model(pair, device="cpu")
    assert len(ran) == 2 * once
    edit(pair / "int8", name="renamed")
    load_model(pair, device="cpu")
    assert len(ran) == 3 * once


NO_MEASUREMENTS = ["", "[]", "{}", '{"a": 1}', '{"a": {"int8": "fast"}}', "\0", "[" * 100_000]
HUGE = '{"a": {"float32": 1%s, "int8": 1}}' % ("0" * 400)
"""A number that no float holds."""


@pytest.mark.parametrize("content", [*NO_MEASUREMENTS, HUGE])
def test_a_damaged_cache_counts_as_none(pair: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "cache" / "cxreport" / "encoder_ms.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert precision_facts(pair, load_manifest(pair)).measured_ms is None
    assert load_model(pair, device="cpu").manifest.precision in ("float32", "int8")
    assert precision_facts(pair, load_manifest(pair)).measured_ms


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_cache_that_would_block_is_not_opened(pair: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "cxreport" / "encoder_ms.json"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert precision_facts(pair, load_manifest(pair)).measured_ms is None


def test_a_cache_that_cannot_be_written_is_done_without(pair: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert load_model(pair, device="cpu").manifest.precision in ("float32", "int8")
    assert precision_facts(pair, load_manifest(pair)).measured_ms is None


def test_a_precision_that_is_asked_for_is_loaded_or_refused(pair: Path, tiny_bundle: Path) -> None:
    assert load_model(pair, device="cpu", precision="float32").manifest.precision == "float32"
    assert load_model(pair, device="cpu", precision="int8").manifest.precision == "int8"
    assert load_model(pair / "int8", device="cpu").manifest.precision == "int8"
    with pytest.raises(BundleError, match="no float32 precision"):
        load_model(pair / "int8", device="cpu", precision="float32")
    with pytest.raises(BundleError, match="no int8 precision") as caught:
        load_model(tiny_bundle, device="cpu", precision="int8")
    assert "--int8" in caught.value.hint


def test_an_int8_bundle_of_another_float_bundle_is_refused(pair: Path) -> None:
    edit(pair, name="trained again")
    for name in ("auto", "int8"):
        with pytest.raises(BundleError, match="made from another bundle"):
            load_model(pair, device="cpu", precision=name)
    assert load_model(pair, device="cpu", precision="float32").manifest.name == "trained again"


@pytest.mark.parametrize(
    "changes", [{"precision": "int4"}, {"precision": "int8", "quantised_from": None}, {"quantised_from": "0" * 64}]
)
def test_a_precision_has_to_fit_the_bundle(tiny_bundle: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_bundle, folder)
    edit(folder, **changes)
    with pytest.raises(BundleError, match="the precision is unknown"):
        load_manifest(folder)


def test_info_and_records_name_the_precision(pair: Path, run_cli: Callable, phantoms: Path) -> None:
    def info() -> str:
        return " ".join(run_cli("info", "--model", pair).stdout.split())

    assert "float32 or int8 on the CPU: the first run measures which is faster" in info()
    drafted = run_cli("generate", "--model", pair, "--device", "cpu", "--json", "--force", phantoms / "rle.dcm")
    precision_in_record = json.loads(drafted.stdout)["model"]["precision"]
    facts = json.loads(run_cli("info", "--json", "--model", pair).stdout)["precision"]
    assert facts["available"] == ["float32", "int8"]
    assert facts["on_cpu"] == precision_in_record
    assert f"{precision_in_record} on the CPU (per image: float32 {facts['encoder_ms']['float32']:g} ms" in info()
    asked = run_cli(
        *("generate", "--model", pair, "--device", "cpu", "--precision", "int8"),
        *("--json", "--force", phantoms / "rle.dcm"),
    )
    assert json.loads(asked.stdout)["model"] == {
        "name": "tiny",
        "version": "0",
        "precision": "int8",
        "sha256": load_manifest(pair / "int8").sha256,
    }


def test_an_index_serves_both_precisions(pair: Path, run_cli: Callable, phantoms: Path, tmp_path: Path) -> None:
    index = tmp_path / "both.index"
    built = run_cli(
        "index", "build", "--model", pair, "--precision", "float32", "--force", phantoms / "rle.dcm", "-o", index
    )
    assert built.exit_code == 0, built.stderr
    result = run_cli("retrieve", index, "--model", pair, "--precision", "int8", "--text", "pleural effusion")
    assert result.exit_code == 0, result.stderr


def test_without_a_home_each_run_measures(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers the user may have neither HOME nor an entry in passwd, which Path.home() raises an error for."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("Could not determine home directory.")))
    ran = take({"float32": 100.0, "int8": 20.0}, monkeypatch)
    for times in (1, 2):
        assert precision_facts(pair, load_manifest(pair)).measured_ms is None
        assert load_model(pair, device="cpu").manifest.precision == "int8"
        assert len(ran) == 10 * times


def test_the_bundle_is_a_path_a_string_or_the_shipped_one(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_model(str(tiny_bundle)).manifest.name == "tiny"
    monkeypatch.setattr(precision, "find_bundle", lambda bundle: bundle or tiny_bundle)
    assert load_model().manifest.name == "tiny"
    assert load_model(device="cpu").device is Device.CPU


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"precision": "int4"}])
def test_unknown_devices_and_precisions(tiny_bundle: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        load_model(tiny_bundle, **wrong)
