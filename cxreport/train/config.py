"""The training configuration: one TOML file, read into frozen dataclasses, unknown keys refused."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DataConfig:
    """Where the data lie, relative to the data root."""

    nih: tuple[str, ...] = ()
    nih_small: tuple[str, ...] = ()
    openi: str = ""
    imagenet: str = ""


@dataclass(frozen=True)
class Phase:
    """A stretch of encoder training at one image size."""

    size: int
    epochs: int
    small: bool
    all_layers: bool


@dataclass(frozen=True)
class EncoderConfig:
    """Encoder and tag head; ``size`` is the side of the network input in pixels."""

    size: int
    batch: int
    lr: float
    lr_low: float
    lr_head: float
    weight_decay: float
    warmup: int
    ema: float
    phases: tuple[Phase, ...]
    width: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """A whole recipe."""

    name: str
    seed: int
    data: DataConfig
    encoder: EncoderConfig


def load_config(path: Path) -> TrainConfig:
    """Read a recipe.

    Raises:
        ValueError: an unknown key, a missing one, or a value of the wrong type.
    """
    built = _build(TrainConfig, tomllib.loads(path.read_text()), path.name)
    assert isinstance(built, TrainConfig)
    return built


def _build(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed TOML into the annotated type ``kind``."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a table")
        hints = typing.get_type_hints(kind)
        unknown = value.keys() - hints.keys()
        required = {
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if unknown or required - value.keys():
            raise ValueError(f"{where}: unknown {sorted(unknown)}, missing {sorted(required - value.keys())}")
        return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected an array")
        return tuple(_build(typing.get_args(kind)[0], v, where) for v in value)
    if origin is types.UnionType:
        return value
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise ValueError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value
