"""A finished training run to a bundle: reads the run folder and says what ``model.json`` has to say about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxreport.bundle import DecodingDefaults, DistanceLimits, EvidenceModel, ReportingTag, Tag
from cxreport.errors import ExportError
from cxreport.train.config import TrainConfig, load_config
from cxreport.train.decoder import Decoder
from cxreport.train.encoder import Encoder
from cxreport.train.export import BundleDescription, write_bundle
from cxreport.train.nih import NIH_EVIDENCE
from cxreport.train.progress import LOG_FILE
from cxreport.train.recipe import RUN_FILE, decoder_sizes
from cxreport.train.typicality import TYPICALITY_FILE, Typicality

_LICENCE = (
    "Weights trained on Open-I reports (CC BY-NC-ND 4.0) and NIH ChestX-ray14 images: non-commercial research only. "
    "Provided by the NIH Clinical Center; Open-I by the U.S. National Library of Medicine and Indiana University."
)
_INTENDED_USE = (
    "Research on report generation from frontal chest radiographs of adults. Not a medical device: not for diagnosis, "
    "triage or any decision about a patient."
)
_MAX_SENTENCES, _MIN_WORDS = 7, 2


def export(run: Path, out: Path) -> dict[str, Any]:
    """Export a run folder of `recipe.train`.

    Args:
        run: the folder.
        out: folder of the bundle; the run's log and recipe are copied beside the graphs.

    Returns:
        the measured figures of `export.write_bundle`.

    Raises:
        ExportError: the run is not finished, or the bundle fails its checks.
    """
    try:
        config = load_config(run / "config.toml")
        described = json.loads((run / RUN_FILE).read_text())
        encoder = Encoder(len(described["tags"]), width=config.encoder.width)
        encoder.load_state_dict(torch.load(run / "encoder.pt", weights_only=True))
        encoder.calibrate(*(torch.tensor(described["calibration"][k]) for k in ("slope", "bias")))
        stage = "consensus.pt" if config.decoder.consensus_epochs and config.pairing == "unpaired" else "decoder.pt"
        decoder = Decoder(decoder_sizes(config, len(described["reporting_tags"]), len(described["vocabulary"])))
        decoder.load_state_dict(torch.load(run / stage, weights_only=True))
        typicality = Typicality(**torch.load(run / TYPICALITY_FILE, weights_only=True))
    except OSError as error:
        raise ExportError(
            f"{run}: not a finished training run ({Path(error.filename or '').name} is missing).",
            hint="Run `cxreport train` with the same --out again; it goes on where it stopped.",
        ) from error
    figures = write_bundle(out, encoder.eval(), decoder.eval(), typicality, _describe(config, described))
    for source, name in (("config.toml", "recipe.toml"), (LOG_FILE, "training_log.jsonl")):
        (out / name).write_bytes((run / source).read_bytes())
    return figures


def _describe(config: TrainConfig, run: dict[str, Any]) -> BundleDescription:
    decoder = config.decoder
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
        decoding=DecodingDefaults(
            _MAX_SENTENCES, _MIN_WORDS, decoder.max_words, decoder.plan == "tags", len(decoder.denied)
        ),
        typicality=DistanceLimits(**run["typicality"]),
        licence=_LICENCE,
        intended_use=_INTENDED_USE,
        provenance={
            "recipe": config.name,
            "pairing": config.pairing,
            "plan": config.decoder.plan,
            "seed": config.seed,
            "val_auc": run["val_auc"],
            "val_false_alarms": run["val_false_alarms"],
            **run["counts"],
        },
        aliases={finding: tag for tag, findings in NIH_EVIDENCE.items() for finding in findings},
    )


def _evidence(raw: dict[str, Any]) -> EvidenceModel:
    arrays = {key: np.array(value, np.float32) for key, value in raw.items() if key != "inputs"}
    return EvidenceModel(tuple(raw["inputs"]), **arrays)
