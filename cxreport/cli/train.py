"""`cxreport train`: a model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cxreport.cli.errors import diagnostics, errors_handled, exits_with, require_extra
from cxreport.cli.options import Verbose, input_option, model_option, output_option
from cxreport.errors import ExitCode, UsageError
from cxreport.model.choices import Architecture


@exits_with(ExitCode.EXTRA_MISSING)
def train(
    data: Annotated[Path, input_option(metavar="DIR", help="Data root; the recipe's paths are relative to it.")],
    out: Annotated[Path, output_option(metavar="RUN", help="Run folder; one that holds a run is resumed.")],
    recipe: Annotated[str | None, input_option(metavar="NAME", help="A recipe that cxreport brings.")] = None,
    config: Annotated[Path | None, input_option(metavar="FILE", help="A recipe of your own, TOML.")] = None,
    architecture: Annotated[
        Architecture | None, model_option(metavar="|".join(Architecture), help="In place of the recipe's.")
    ] = None,
    encoder: Annotated[
        Path | None,
        model_option(metavar="RUN", help="Take the encoder of a run with the same images and encoder settings."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Train a model on your own copy of the data. Needs the 'train' extra.

    An interrupted run goes on where it stopped when the same command is
    given again.
    """
    with errors_handled(verbose), diagnostics(quiet=False, verbose=verbose):
        recipe_path = _recipe_path(recipe, config)
        require_extra("cxreport train", extra="train", package="torch")
        from cxreport.cli.training_progress import training_progress
        from cxreport.train import run as runs

        with training_progress() as progress:
            runs.train(recipe_path, data, out, progress, architecture=architecture, encoder_run=encoder)


def _recipe_path(recipe: str | None, config: Path | None) -> Path:
    """Find the recipe's file."""
    recipes = _recipes()
    hint = f"Recipes: {', '.join(recipes)}."
    if recipe is not None and config is None:
        if recipe not in recipes:
            raise UsageError(f"No recipe {recipe!r}.", hint=hint)
        return recipes[recipe]
    if config is None or recipe is not None:
        raise UsageError("Give either --recipe or --config.", hint=hint)
    return config


def _recipes() -> dict[str, Path]:
    """List the recipes of the package by name."""
    from importlib.resources import files

    folder = Path(str(files("cxreport"))) / "train" / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
