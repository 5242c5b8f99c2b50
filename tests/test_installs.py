"""Installs beside the usual one: without CUDA, and in a container."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
from places import EXAMPLES, ROOT

from cxreport.cli.app import app
from cxreport.cli.command.command import all_commands

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = EXAMPLES / "Dockerfile"
UNREACHABLE = re.compile(r"Connection|Temporary failure|satisfies the requirement hatchling")


def instructions() -> list[tuple[str, str]]:
    lines = re.sub(r"^#.*\n|\\\n", "", DOCKERFILE.read_text(), flags=re.M).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line.strip()]


def of(name: str) -> list[str]:
    return [text for instruction, text in instructions() if instruction == name]


def requirements(text: str) -> set[str]:
    return {line for line in text.splitlines() if line and not line.startswith("#")}


def test_requirements_without_cuda_are_those_of_the_project() -> None:
    project = {requirement.partition(";")[0].strip() for requirement in PROJECT["dependencies"]}
    gpu = {requirement for requirement in project if requirement.startswith("onnxruntime-gpu")}
    assert len(gpu) == 1
    assert requirements((ROOT / "requirements-cpu.txt").read_text()) == project - gpu


def test_the_container_runs_as_nobody_special_and_keeps_its_secret() -> None:
    assert of("USER") == ["cxreport"]
    assert of("ENTRYPOINT") == ['["cxreport"]']
    assert any(variable.startswith("XDG_CONFIG_HOME=/data") for variable in of("ENV"))
    assert of("VOLUME") == ["/data"]
    for source, _ in (shlex.split(text) for text in of("COPY")):
        assert (ROOT / source).exists()


@pytest.mark.skipif("dicom" not in PROJECT["optional-dependencies"], reason="the project has no extra 'dicom'")
def test_the_container_has_the_extra_dicom() -> None:
    *_, extra = (shlex.split(text) for text in of("RUN") if text.startswith("pip"))
    assert set(PROJECT["optional-dependencies"]["dicom"]) <= set(extra)


def test_the_container_listens() -> None:
    (command,) = (json.loads(text) for text in of("CMD"))
    commands = dict(all_commands(typer.main.get_command(app)))
    if command[0] not in commands:
        pytest.skip(f"there is no cxreport {command[0]}")
    commands[command[0]].make_context(command[0], command[1:])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="a container of Linux")
def test_its_steps_install_a_program_without_cuda(tmp_path: Path, phantoms: Path) -> None:
    """The steps of the container with pip, in an environment of its own; it downloads some 100 MB without a cache."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    environment = {"PATH": f"{tmp_path / 'venv' / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    source = shutil.copytree(ROOT, tmp_path / "src", ignore=shutil.ignore_patterns(".git", "tests", "__pycache__"))
    steps = [step.replace("/src", str(source)) for step in of("RUN") if step.startswith("pip ")]
    assert len(steps) == 3
    for step in steps:
        done = subprocess.run(["/bin/sh", "-c", step], env=environment, capture_output=True, text=True)
        if done.returncode and UNREACHABLE.search(done.stderr):
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "venv").rglob("*")}
    assert "onnxruntime" in names
    assert not [name for name in names if re.search(r"onnxruntime_gpu|providers_cuda|^nvidia", name)]
    picture = shutil.copy(phantoms / "normal-8bit.png", tmp_path)
    words = ["cxreport", "generate", "--force", "--json", picture]
    report = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert report.returncode == 0, report.stderr
    assert json.loads(report.stdout)["report"]["impression"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_container_is_built_where_docker_is() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no docker daemon here")
    build = ["docker", "build", "--quiet", "-f", DOCKERFILE, ROOT]
    image = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()
    shown = subprocess.run(["docker", "run", "--rm", image, "--version"], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith("cxreport ")
