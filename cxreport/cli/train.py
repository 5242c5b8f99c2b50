"""`cxreport train` and `cxreport export`: thin shells over `cxreport.train`."""

from __future__ import annotations

import importlib.util
import sys
import time
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from cxreport.cli.errors import diagnostics, errors_handled, say
from cxreport.errors import MissingExtraError, UsageError
from cxreport.model.choices import Architecture

SECONDS_BETWEEN_LINES = 30.0


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Add tracebacks and libraries' warnings on stderr.")]


def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data root; the recipe's paths are relative to it.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Run folder; one that holds a run is resumed.")],
    recipe: Annotated[str | None, typer.Option(metavar="NAME", help="A recipe that cxreport brings.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A recipe of your own, TOML.")] = None,
    architecture: Annotated[
        Architecture | None, typer.Option(metavar="|".join(Architecture), help="In place of the recipe's.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Take the encoder of a run of the same images and [encoder].")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Train a model on your own copy of the data. Needs the 'train' extra.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        chosen = _recipe(recipe, config)
        _require_torch("train")
        from cxreport.train import run as training

        with _progress() as progress:
            training.train(chosen, data, out, progress, architecture, encoder)


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder of `cxreport train`; for --int8 a float bundle will do.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Add an int8 bundle, in a folder of OUT, for CPUs where it is faster.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Training images that --int8 is calibrated on."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Export a trained run as a bundle and verify it. Needs the 'train' extra.

    With --int8 the bundle in OUT gets a second one, with 8-bit weights and
    activations, measured against the first. For a bundle that is there
    already, RUN and OUT are its folder.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        if int8 != (images is not None):
            raise UsageError("--int8 and --images go together.", hint="Name a folder of training images.")
        _require_torch("export")
        from cxreport.model.bundle import is_bundle
        from cxreport.train.export import run as exporting

        if int8 and is_bundle(run):
            exporting.copy_bundle(run, out)
        else:
            say(_figures("export", exporting.export(run, out)))
        if images is not None:
            from cxreport.train.export import quantise

            say(_figures("int8", quantise.add_int8(out, images)))
        say(f"bundle: {out}")


def _recipe(recipe: str | None, config: Path | None) -> Path:
    """Find the configuration file."""
    if (recipe is None) == (config is None):
        raise UsageError("Give either --recipe or --config.", hint=f"Recipes: {', '.join(_recipes())}.")
    if config is not None:
        return config
    found = _recipes().get(str(recipe))
    if found is None:
        raise UsageError(f"No recipe {recipe!r}.", hint=f"Recipes: {', '.join(_recipes())}.")
    return found


def _recipes() -> dict[str, Path]:
    """List the recipes of the package."""
    folder = Path(str(files("cxreport"))) / "train" / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _require_torch(command: str) -> None:
    """Refuse to go on without the training extra."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(f"cxreport {command}", "train")


def _progress() -> BarProgress | LineProgress:
    """Choose how progress is shown."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class LineProgress:
    """Progress as plain lines on stderr: every epoch, and now and then a step."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """Write a line if the last one is long enough ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            say(f"{stage}: step {done}/{total}, loss {loss:.4f}")

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """Write an epoch's figures."""
        say(_figures(stage, figures))


class BarProgress:
    """Progress as a bar per stage on the terminal, and a line per epoch above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def step(self, stage: str, done: int, total: int, loss: float) -> None:
        """Move the stage's bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage)
        description = f"{stage}, loss {loss:.3f}"
        self._bar.update(self._tasks[stage], completed=done, total=total, description=description)

    def epoch(self, stage: str, figures: dict[str, Any]) -> None:
        """Print an epoch's figures above the bars."""
        self._bar.console.print(_figures(stage, figures), markup=False, highlight=False)


def _figures(stage: str, figures: dict[str, Any]) -> str:
    """Write figures as text."""
    shown = (
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )
    return f"{stage}: {', '.join(shown)}"
