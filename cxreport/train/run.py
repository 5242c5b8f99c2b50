"""A recipe from data to a run folder, which `train.export` turns into a bundle.

1. encoder and tag head on labelled images;
2. a network that writes, from the encoder's patch features (`report_stages`, `caption_stages`);
3. where the recipe has ``[joint]``, the space that images and texts share;
4. the distance by which images unlike the training images are recognised.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch

from cxreport.errors import TrainingError
from cxreport.text.lexicon import LEXICON_FILE, packaged
from cxreport.train.caption_stages import train_captions
from cxreport.train.config import TrainConfig, load_config, parse_config
from cxreport.train.networks.build import check_encoder
from cxreport.train.progress import Progress, RunLog
from cxreport.train.report_stages import train_reports
from cxreport.train.run_folder import (
    CONFIG_FILE,
    FEATURES_FILE,
    LIMIT_LOGITS_FILE,
    LIMITS_FILE,
    TYPICALITY_FILE,
    weights_file,
)

_ARCHITECTURE = re.compile(r"^architecture\s*=.*\n", re.MULTILINE)


def train(
    config_path: Path,
    data_root: Path,
    run: Path,
    progress: Progress,
    architecture: str | None = None,
    encoder_run: Path | None = None,
) -> None:
    """Train a recipe into a run folder, or go on with a run that was interrupted.

    Args:
        config_path: the recipe.
        data_root: folder that the recipe's data paths are relative to.
        run: folder of checkpoints, the log and, at the end, ``run.json``.
        progress: told of steps and epochs.
        architecture: in place of the recipe's.
        encoder_run: a run of the same ``[encoder]`` to copy the encoder from, instead of training one.

    Raises:
        TrainingError: data are missing, the recipe is wrong, or the run belongs to another recipe.
    """
    try:
        recipe = config_path.read_text(encoding="utf-8")
        if architecture is not None:
            recipe = f'architecture = "{architecture}"\n{_ARCHITECTURE.sub("", recipe)}'
        config = parse_config(recipe, config_path.name)
        check_encoder(config.encoder)
        _claim(run, recipe)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{config_path}: {error}") from error
    if encoder_run is not None:
        _copy_encoder(config, encoder_run, run)
    torch.set_flush_denormal(True)  # logits that are sure of themselves have tiny gradients, which are slow to compute
    log = RunLog(run, progress)
    try:
        (train_captions if config.pairing == "captions" else train_reports)(config, data_root, run, log)
    except FileNotFoundError as error:
        raise TrainingError(f"{error.filename or error}: not found.") from error


def _claim(run: Path, recipe: str) -> None:
    """Make the run folder the recipe's own; an interrupted run goes on only under the same recipe and lexicon."""
    run.mkdir(parents=True, exist_ok=True)
    for name, kind, content in (
        (CONFIG_FILE, "recipe", recipe.encode()),
        (LEXICON_FILE, "lexicon", packaged().toml),
    ):
        path = run / name
        if not path.exists():
            path.write_bytes(content)
        elif path.read_bytes() != content:
            raise TrainingError(f"{run}: holds a run of another {kind}.", hint="Name a new run folder with --out.")


def _copy_encoder(config: TrainConfig, source: Path, run: Path) -> None:
    """Copy the encoder of another run."""
    try:
        twin = load_config(source / CONFIG_FILE)
        if any(getattr(twin, part) != getattr(config, part) for part in ("encoder", "teacher", "data", "pairing")):
            raise TrainingError(f"{source}: its recipe trains another encoder, or on other data.")
        shutil.copyfile(source / weights_file("encoder"), run / weights_file("encoder"))
        for name in (
            weights_file(config.encoder.stage),
            FEATURES_FILE,
            LIMIT_LOGITS_FILE,
            TYPICALITY_FILE,
            LIMITS_FILE,
        ):  # depend on the encoder and the images alone
            if (source / name).exists():
                shutil.copyfile(source / name, run / name)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{source}: no finished encoder is there ({error}).") from error
