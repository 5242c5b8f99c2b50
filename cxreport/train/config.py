"""Recipes: TOML files of a training, read into frozen dataclasses; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import enum
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxreport.model.choices import CAPTIONING, Architecture


@dataclass(frozen=True)
class DataConfig:
    """Folders of the data, relative to the data root."""

    nih: tuple[str, ...] = ()
    nih_small: tuple[str, ...] = ()
    openi: str = ""
    coco: str = ""
    imagenet: str = ""
    """Start weights of the convolutions; empty for random ones."""
    mesh_least: int = 20
    """Paired: reports that a MeSH heading has at least, to be a tag."""


@dataclass(frozen=True)
class TeacherConfig:
    """Networks that teach the encoder beside the labels (Hinton et al. 2015)."""

    tables: tuple[str, ...]
    """CSV files of their outputs, relative to the data root (`datasets.teacher`)."""
    weight: float = 0.7
    """Of a teacher's probabilities in the targets; the labels have the rest."""
    logit_weight: float = 0.0
    """Of the squared distance to a teacher's standardised logits, added to the cross entropy."""
    relabel_weight: float = 0.0
    """Share of a relabel in a label that has one."""


@dataclass(frozen=True)
class Phase:
    """Stretch of encoder training at one image size."""

    size: int
    """Side of the training images in pixels."""
    images: int
    """Number of images to train on; more than there are means several passes."""
    small: bool
    """Add the upsampled small images."""
    mixup: float = 0.0
    """Blend pairs of images by a share drawn from Beta(mixup, mixup) (Zhang et al. 2018); 0 for none."""
    noise: float = 0.0
    """Highest deviation, in grey levels, of noise that is added to an image, sharp or blurred."""
    erase: float = 0.0
    """Share of images with a rectangle of one grey in place of up to a quarter of them (Zhong et al. 2020)."""
    restart: float = 0.0
    """Begin a cycle, from the averaged weights so far: the learning rates rise again to this share of the recipe's, and
    fall until the next cycle; 0 goes on."""


@dataclass(frozen=True)
class FactorConfig:
    """An encoder of less arithmetic in place of the trained one, taught to give its maps."""

    ranks: tuple[int, ...]
    """Of each convolution (`networks.factors`); 0 leaves it whole."""
    images: int
    """Number of images to learn from, altered as in the last phase; more than there are means several passes."""
    lr: float
    warmup: int = 100
    """Steps in which the rate rises."""
    ema: float = 0.99
    """Decay of the moving average of the weights, per step."""


@dataclass(frozen=True)
class EncoderConfig:
    """Encoder and tag head; ``size`` is the side of the network input in pixels."""

    size: int
    batch: int
    lr: float
    """Of the other convolutions than the early ones; 0 leaves them as they start."""
    lr_low: float
    """Of the layers that the encoder calls early; 0 leaves them as they start."""
    lr_head: float
    """Of the tag head, which alone learns where both other rates are 0."""
    weight_decay: float
    warmup: int
    """Steps in which the rates rise."""
    ema: float
    """Decay of the moving average of the weights, per step."""
    phases: tuple[Phase, ...]
    name: str = "vgg19"
    """Of the convolutions: one of `networks.encoders.ENCODERS`."""
    patch_depth: int = -1
    """Map that the writers' patches are of, an index of `Trunk.maps`: -1 is the deepest, -2 the one before it, which
    may have more and smaller patches. The tag head reads the deepest."""
    width: float = 1.0
    """Share of the convolutions' published number of channels, for tests."""
    flip: bool = True
    """Mirror images in training; off where texts say left and right of the picture."""
    factors: FactorConfig | None = None
    """None keeps the trained encoder."""

    @property
    def stage(self) -> str:
        """Name of the stage whose weights are the recipe's encoder."""
        return "encoder" if self.factors is None else "factors"


@dataclass(frozen=True)
class DecoderConfig:
    """The decoder and its stages: from tags alone, then with patch features, then consensus reports."""

    plan: Literal["tags", "none"]
    """``tags``: the first topics of a section are planned, one per positive tag. ``none``: the papers' plain form."""
    top_tags: int
    """M, the number of semantic features attended to."""
    epochs: int
    """Without images."""
    image_epochs: int
    """With the patch features of paired or pseudo-paired images."""
    images: int
    """At most so many images take part; their features are held in memory."""
    batch: int
    lr: float
    weight_decay: float
    label_smoothing: float
    tag_dropout: float
    """Share of the report's tags that are hidden from the semantic features."""
    tag_noise: float
    """Share of the other tags that are shown by mistake."""
    visual_dropout: float
    """Share of reports written without their image in the image stage."""
    max_words: int
    min_word_count: int
    rare_tag_power: float = 0.0
    """Words of a planned sentence weigh (most frequent tag / its tag) ** power; 0 weighs all alike."""
    denied: tuple[str, ...] = ()
    """Reporting tags that the Findings deny by planned topics where they are negative."""
    consensus_epochs: int = 0
    """On consensus reports, as inference plans them; 0 leaves the decoder as it was."""
    consensus_neighbours: int = 80
    """Number of nearest studies whose reports a consensus report is expected to be like."""
    neighbours: int = 20
    """Unpaired: reports among which an image's partner is drawn anew each epoch."""
    hidden: int = 512
    word_dim: int = 192
    attention: int = 64


@dataclass(frozen=True)
class CaptionerConfig:
    """The captioning architectures, in place of the decoder."""

    epochs: int = 12
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    doubly_stochastic: float = 0.1
    """Weight of the penalty for more attention to some patches than to others over a text (Xu et al. 2015)."""
    min_words: int = 2
    """Of a text."""
    max_words: int = 100
    min_word_count: int = 3
    tag_count: int = 20
    """Captions: train images that have a word at least, for it to be a tag of the encoder."""
    hidden: int = 512
    word_dim: int = 192
    attention: int = 128
    places: bool = False
    """Learn the places of the patches, for texts that say left and right; in the papers patches are a set."""
    word_queries: bool = False
    """Soft attention: choose the patches by the previous word too, so that after "red" they are those of what is red.
    In the paper the LSTM's state chooses, which has not read that word yet."""


@dataclass(frozen=True)
class JointConfig:
    """The space that images and texts share."""

    epochs: int = 6
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    images: int = 10_000
    """At most so many take part; the features of their patches are held in memory, 512 kB each at 128 px."""
    embedding: int = 512
    word_dim: int = 192
    hidden: int = 192
    patch_hidden: int = 64


@dataclass(frozen=True)
class TrainConfig:
    """Recipe of a training."""

    name: str
    version: str
    pairing: Literal["paired", "unpaired", "captions"]
    """Reports with their own images, or with images of another collection through shared tags; or captions of
    pictures."""
    seed: int
    data: DataConfig
    encoder: EncoderConfig
    teacher: TeacherConfig | None = None
    architecture: Architecture = Architecture.CO_ATTENTION
    decoder: DecoderConfig | None = None
    captioner: CaptionerConfig = CaptionerConfig()
    joint: JointConfig | None = None
    """Without it the bundle has no text encoder."""

    @property
    def reports(self) -> DecoderConfig:
        """The ``[decoder]`` table.

        Raises:
            ValueError: the recipe has none.
        """
        if self.decoder is None:
            raise ValueError("a recipe for reports needs a [decoder] table")
        return self.decoder

    @property
    def consensus(self) -> bool:
        """True for recipes with a stage of consensus reports, which are planned and need a CheXNet's evidence."""
        return self.pairing == "unpaired" and self.reports.plan == "tags" and self.reports.consensus_epochs > 0


def load_config(path: Path) -> TrainConfig:
    """Read a recipe.

    Raises:
        ValueError: an unknown key, a missing one, or a value of the wrong type.
    """
    return parse_config(path.read_text(encoding="utf-8"), path.name)


def parse_config(recipe: str, name: str) -> TrainConfig:
    """Read the text of a recipe, which errors call by a name.

    Raises:
        ValueError: as `load_config` does.
    """
    built = _build(TrainConfig, tomllib.loads(recipe), name)
    assert isinstance(built, TrainConfig)
    if built.pairing != "captions":
        built.reports  # noqa: B018 - must be there
    elif not built.architecture.captioning:
        raise ValueError(f"{name}: captions need one of {', '.join(CAPTIONING)} as architecture")
    return built


def _build(kind: Any, value: Any, path: str) -> Any:
    """Turn parsed TOML into the annotated type ``kind``."""
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{path}: expected a table")
        hints = typing.get_type_hints(kind)
        unknown = value.keys() - hints.keys()
        required = {
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if unknown or required - value.keys():
            raise ValueError(f"{path}: unknown {sorted(unknown)}, missing {sorted(required - value.keys())}")
        return kind(**{k: _build(hints[k], v, f"{path}.{k}") for k, v in value.items()})  # type: ignore[operator]
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{path}: expected an array")
        return tuple(_build(typing.get_args(kind)[0], v, path) for v in value)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise ValueError(f"{path}: expected one of {typing.get_args(kind)}, got {value!r}")
        return value
    if issubclass(kind, enum.Enum):
        if value not in list(kind):
            raise ValueError(f"{path}: expected one of {', '.join(kind)}, got {value!r}")
        return kind(value)
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise ValueError(f"{path}: expected {kind.__name__}, got {value!r}")
    return value
