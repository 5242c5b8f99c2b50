"""A finished run folder to a bundle, and the description of the run in ``model.json``."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxreport.errors import ExportError
from cxreport.model.manifest import DecodingDefaults, DistanceLimits, EvidenceModel, ReportingTag, Tag
from cxreport.text.lexicon import LEXICON_FILE, Lexicon, packaged
from cxreport.train.config import TrainConfig, load_config
from cxreport.train.export.parity import Networks
from cxreport.train.export.write_bundle import BundleDescription, write_bundle
from cxreport.train.fit.joint import load_space
from cxreport.train.networks.build import new_captioner, new_decoder, new_encoder
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder
from cxreport.train.networks.typicality import Typicality
from cxreport.train.progress import LOG_FILE
from cxreport.train.run_folder import CONFIG_FILE, RUN_FILE, TYPICALITY_FILE

_LICENCE = (
    "Weights trained on Open-I reports (CC BY-NC-ND 4.0) and NIH ChestX-ray14 images: non-commercial research only. "
    "Provided by the NIH Clinical Center; Open-I by the U.S. National Library of Medicine and Indiana University."
)
_INTENDED_USE = (
    "Research on report generation from frontal chest radiographs of adults. Not a medical device: not for diagnosis, "
    "triage or any decision about a patient."
)
_PICTURE_LICENCE = "That of the pictures and captions that it was trained on."
_PICTURE_USE = "Research on captions of pictures. Not for medical images."
_MAX_SENTENCES, _MIN_WORDS = 7, 2


def export(run: Path, out: Path) -> dict[str, Any]:
    """Export a run folder of `train.run`.

    Args:
        run: the folder.
        out: folder of the bundle; the run's log and recipe are copied beside the graphs.

    Returns:
        the measured figures of `write_bundle.write_bundle`.

    Raises:
        ExportError: the run is not finished, or the bundle fails its checks.
    """
    try:
        config = load_config(run / CONFIG_FILE)
        described = json.loads((run / RUN_FILE).read_text())
        networks = _networks(run, config, described)
    except OSError as error:
        raise ExportError(
            f"{run}: not a finished training run ({Path(error.filename or '').name} is missing).",
            hint="Run `cxreport train` with the same --out again; it goes on where it stopped.",
        ) from error
    figures = write_bundle(out, networks, _describe(config, described, _lexicon(run)))
    for source, name in ((CONFIG_FILE, "recipe.toml"), (LOG_FILE, "training_log.jsonl")):
        (out / name).write_bytes((run / source).read_bytes())
    return figures


def copy_bundle(source: Path, out: Path) -> None:
    """Copy the files of a bundle, unless it is there already.

    Raises:
        ExportError: ``out`` exists and is another folder.
    """
    if out.resolve() == source.resolve():
        return
    if out.exists():
        raise ExportError(f"{out}: exists.", hint="Name a new folder, or that of the bundle itself.")
    out.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy2(file, out)


def _networks(run: Path, config: TrainConfig, described: dict[str, Any]) -> Networks:
    """The trained networks of a run."""

    def state(stage: str) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(run / f"{stage}.pt", weights_only=True)
        return loaded

    encoder = new_encoder(config.encoder, len(described["tags"]))
    encoder.load_state_dict(state(config.encoder.stage))
    encoder.calibrate(*(torch.tensor(described["calibration"][k]) for k in ("slope", "bias")))
    words = len(described["vocabulary"])
    writer: Decoder | Captioner
    if config.architecture.captioning:
        writer = new_captioner(config, encoder, words)
        writer.load_state_dict(state("captioner"))
    else:
        writer = new_decoder(config, encoder, len(described["reporting_tags"]), words)
        writer.load_state_dict(state("consensus" if config.consensus else "decoder"))
    typicality = Typicality(**state(Path(TYPICALITY_FILE).stem))
    joint = load_space(config.joint, state("joint"), len(described["tags"])) if config.joint else None
    channels = 3 if config.pairing == "captions" else 1
    return Networks(encoder.eval(), writer.eval(), typicality, joint, channels)


def _decoding(config: TrainConfig, run: dict[str, Any]) -> DecodingDefaults:
    """Lengths and plan; exact where the decoder learned consensus reports, which say what is planned and no more."""
    if config.architecture.captioning:
        return DecodingDefaults(1, config.captioner.min_words, config.captioner.max_words, planned=False)
    reports = config.reports
    return DecodingDefaults(
        max_sentences=_MAX_SENTENCES,
        min_words=_MIN_WORDS,
        max_words=reports.max_words,
        planned=reports.plan == "tags",
        denials=len(reports.denied),
        exact=config.consensus and "findings_denials" in run,  # a run of before schema 5 has free sentences
        findings_denials=tuple(map(tuple, run.get("findings_denials", ()))),
        impression_denials=tuple(map(tuple, run.get("impression_denials", ()))),
    )


def _lexicon(run: Path) -> Lexicon:
    """Lexicon that a run's targets were read with; the package's for a run from before 0.5.0, which kept none."""
    path = run / LEXICON_FILE
    return Lexicon(path.read_bytes(), str(path)) if path.exists() else packaged()


def _describe(config: TrainConfig, run: dict[str, Any], lexicon: Lexicon) -> BundleDescription:
    pictures = config.pairing == "captions"
    return BundleDescription(
        name=config.name,
        version=config.version,
        image_size=config.encoder.size,
        tags=tuple(map(Tag, run["tags"], run["tag_thresholds"])),
        reporting_tags=tuple(
            map(ReportingTag, run["reporting_tags"], run["impression"], run["deniable"], run["places"])
        ),
        evidence={name: _evidence(raw) for name, raw in run["evidence"].items()},
        vocabulary=tuple(run["vocabulary"]),
        extra_words=tuple(run["extra_words"]),
        encoder=config.encoder.name,
        architecture=config.architecture,
        lexicon=lexicon,
        decoding=_decoding(config, run),
        typicality=DistanceLimits(**run["typicality"]),
        licence=_PICTURE_LICENCE if pictures else _LICENCE,
        intended_use=_PICTURE_USE if pictures else _INTENDED_USE,
        provenance={
            "recipe": config.name,
            "pairing": config.pairing,
            "plan": "none" if config.architecture.captioning else config.reports.plan,
            "seed": config.seed,
            "teacher": asdict(config.teacher) if config.teacher else None,
            "val_auc": run["val_auc"],
            "val_false_alarms": run["val_false_alarms"],
            **run["counts"],
        },
        aliases=_aliases(run["reporting_tags"], lexicon),
    )


def _aliases(reporting: list[str], lexicon: Lexicon) -> dict[str, str]:
    """The NIH findings' names for those reporting tags that there are."""
    return {f: tag for tag, findings in lexicon.nih_findings.items() if tag in reporting for f in findings}


def _evidence(raw: dict[str, Any]) -> EvidenceModel:
    arrays = {key: np.array(value, np.float32) for key, value in raw.items() if key != "inputs"}
    return EvidenceModel.of(tuple(raw["inputs"]), arrays)
