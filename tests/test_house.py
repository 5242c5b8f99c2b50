from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from places import DATA

import cxreport

PACKAGE = Path(cxreport.__file__).parent
MODULES = sorted(
    ".".join(["cxreport", *path.relative_to(PACKAGE).with_suffix("").parts])
    for path in PACKAGE.rglob("*.py")
    if "train" not in path.parts and path.stem not in ("__init__", "__main__")
)
BUNDLE = str(DATA / "tiny_bundle")
PICTURE = str(PACKAGE.parent / "examples" / "phantoms" / "normal-8bit.png")
HEAVY = {"PIL", "highdicom", "numpy", "onnxruntime", "pydicom", "torch"}


ROOMS = (
    *("text", "model", "reading", "datasets", "retrieval", "drafting", "explain", "output", "arrivals"),
    *("train", "evaluate", "bench", "cli"),
)
"""Folders of the package; each imports from those before it, and from the modules at the top."""


def imported_modules(path: Path) -> set[str]:
    """Modules, and names in them, that a module imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports from."""
    return {name.split(".")[1] for name in imported_modules(path) if name.startswith("cxreport.")} & set(ROOMS)


def test_the_rooms_are_the_folders_of_the_package() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room: str) -> None:
    later = set(ROOMS[ROOMS.index(room) + 1 :])
    upward = {path.name: rooms & later for path in (PACKAGE / room).rglob("*.py") if (rooms := imported_rooms(path))}
    assert {name: rooms for name, rooms in upward.items() if rooms} == {}


INNER_ROOMS = {
    "arrivals": (
        *(
            "destination",
            "companion",
            "inbox",
            "identity",
            "states",
            "ledger_file",
            "ledger",
            "receiver",
            "watched_folder",
        ),
        *("result_folder", "sent", "store_scu", "stow", "sending", "deliverer", "desk"),
    ),
    "train": ("progress", "config", "run_folder", "networks", "data", "fit", "reference", "export"),
    "evaluate": (
        *(
            "bootstrap",
            "drafting",
            "text",
            "grounding",
            "baselines",
            "tags",
            "judges",
            "ranking",
            "abstention",
            "plan_agreement",
            "certainty",
        ),
        *("openi", "nih", "coco", "compare", "retrieval", "run", "tables"),
    ),
    "bench": (
        *("spread", "environment", "studies", "workload", "decoding", "kernels", "stages", "processes"),
        *("growth", "eager", "peers", "result", "targets", "tables", "run"),
    ),
}
"""Modules and folders of rooms; each imports from those before it, and the stages of recipes in `train` from all."""


@pytest.mark.parametrize(("room", "inner"), [(room, inner) for room, order in INNER_ROOMS.items() for inner in order])
def test_imports_within_a_room_go_one_way(room: str, inner: str) -> None:
    allowed = INNER_ROOMS[room][: INNER_ROOMS[room].index(inner) + 1]
    folder = PACKAGE / room
    for path in (folder / inner).rglob("*.py") if (folder / inner).is_dir() else [folder / f"{inner}.py"]:
        names = {name.split(".")[2] for name in imported_modules(path) if name.startswith(f"cxreport.{room}.")}
        assert names <= set(allowed), path


def test_modules_at_the_top_import_from_no_room() -> None:
    top = ("plans", "points", "types", "errors", "files")
    assert not {name for name in top if imported_rooms(PACKAGE / f"{name}.py")}


def test_no_folder_is_crowded() -> None:
    crowded = {folder: len(list(folder.glob("*.py"))) for folder in {path.parent for path in PACKAGE.rglob("*.py")}}
    assert max(crowded.values()) <= 20


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Names of the modules that are loaded after the code ran in an interpreter of its own."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stderr))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [command, "--help"]
            for command in (
                "generate",
                "listen",
                "watch",
                "status",
                "rerun",
                "send",
                "explain",
                "retrieve",
                "index",
                "label",
                "evaluate",
                "bench",
                "train",
            )
        ),
        ["index", "build", "--help"],
        ["index", "info", "--help"],
        ["--version"],
        ["schema"],
        ["schema", "--of", "retrieve"],
    ],
    ids=" ".join,
)
def test_answering_needs_no_heavy_module(arguments: list[str]) -> None:
    code = "from cxreport.cli.app import main\ntry: main()\nexcept SystemExit: pass"
    assert not loaded_by(code, *arguments) & HEAVY


@pytest.mark.parametrize(
    ("arguments", "budget"),
    [(["--help"], 262), (["info"], 373), (["generate", "--json", "--model", BUNDLE, PICTURE], 386)],
    ids=["help", "info", "generate"],
)
def test_starting_loads_no_more_modules_than_today(arguments: list[str], budget: int) -> None:
    """The budgets are 3 % above what was loaded when they were set: 254, 362 and 375."""
    code = "import os, sys; sys.stderr = open(os.devnull, 'w')\nfrom cxreport.cli.app import main\ntry: main()\n"
    code += "except SystemExit: pass\nsys.stderr = sys.__stderr__"
    assert len(loaded_by(code, *arguments)) <= budget


def test_drafting_loads_no_library_of_files() -> None:
    """Processes of their own read; the one that drafts starts sooner, and opens nothing that could end it."""
    code = "from cxreport.cli.app import main\ntry: main()\nexcept SystemExit: pass"
    loaded = loaded_by(code, *("generate", "--force", "-q", "--model", BUNDLE, PICTURE))
    assert "onnxruntime" in loaded
    assert not loaded & {"PIL", "highdicom", "pydicom"}


def test_pictures_are_read_without_pydicom() -> None:
    code = (
        "import sys; from pathlib import Path; from cxreport.reading.study import read_studies\n"
        "(study,) = read_studies([Path(sys.argv[1])]); assert study.view, study"
    )
    loaded = loaded_by(code, PICTURE)
    assert "PIL" in loaded
    assert "pydicom" not in loaded


def test_information_needs_no_library_of_files() -> None:
    code = "from cxreport.cli.app import main\ntry: main()\nexcept SystemExit: pass"
    assert not loaded_by(code, "info", "--json") & {"PIL", "pydicom"}


def test_importing_the_package_loads_only_the_standard_library() -> None:
    new = loaded_by("import cxreport") - loaded_by("")
    assert {name for name in new if name.split(".")[0] not in sys.stdlib_module_names} == {"cxreport"}


def test_only_session_loads_onnxruntime() -> None:
    """The pipeline, and the evaluation that runs it, need session and load onnxruntime through it."""
    through = (
        "cxreport.model.session",
        "cxreport.drafting.pipeline",
        "cxreport.explain.explain",
        "cxreport.cli.progress",
        "cxreport.evaluate.",
        "cxreport.bench.",
    )
    others = [name for name in MODULES if not name.startswith(through)]
    assert "onnxruntime" not in loaded_by(f"import {', '.join(others)}")
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    importing = {name for name, text in sources.items() if re.search(r"^\s*(import|from) onnxruntime", text, re.M)}
    assert importing == {"model/session.py", "train/export/quantise.py", "train/export/calibration.py"}  # its quantiser


def test_nothing_is_sent_or_left_by_onnxruntime(tmp_path: Path) -> None:
    """Its telemetry writes beside caches at once, and asks a server later; reports are drafted offline."""
    environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "import cxreport.model.session, time; time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment, cwd=PACKAGE.parent)
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_images_are_evaluated_without_the_packages_of_text_metrics() -> None:
    assert "pycocoevalcap" not in loaded_by("import cxreport.evaluate.run, cxreport.evaluate.nih")


def test_no_module_outside_train_loads_torch() -> None:
    assert not loaded_by(f"import {', '.join(MODULES)}") & {"torch", "torchvision", "onnx", "gensim"}


def test_public_names() -> None:
    assert cxreport.__all__ == sorted(cxreport.__all__)
    assert set(cxreport.__all__) <= set(dir(cxreport))
    for name in cxreport.__all__:
        assert getattr(cxreport, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cxreport.nothing


def test_version_is_the_one_of_the_distribution() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert cxreport.__version__ == project["version"]
