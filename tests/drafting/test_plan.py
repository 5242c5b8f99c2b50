from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.drafting.plan import make_plan
from cxreport.errors import InvalidTagsError, UsageError
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.types import Detail, Encoding


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def encoding(**tags: float) -> Encoding:
    return Encoding({name.replace("__", " "): p for name, p in tags.items()}, None, None)


def names(manifest: Manifest, *indices: int) -> list[str]:
    return [manifest.reporting_names[i] for i in indices]


def test_evidence_is_logistic(manifest: Manifest) -> None:
    tags = dict.fromkeys(manifest.tag_names, 0.2) | {"Effusion": 0.7}
    plan = make_plan(manifest, encoding(**tags), "chexnet")
    evidence = manifest.evidence["chexnet"]
    for r, name in enumerate(manifest.reporting_names):
        logit = evidence.bias[r] + sum(
            w * math.log(tags[t] / (1 - tags[t])) for w, t in zip(evidence.weights[r], evidence.inputs, strict=True)
        )
        assert plan.probabilities[r] == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5), name
    assert names(manifest, *plan.tags) == ["Pleural Effusion"]


def test_sources_have_their_own_parameters(manifest: Manifest) -> None:
    tags = encoding(**dict.fromkeys(manifest.tag_names, 0.4))
    assert make_plan(manifest, tags, "head").probabilities[0] > make_plan(manifest, tags, "chexnet").probabilities[0]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_evidence_stays_finite_and_a_tag_without_evidence_negative(manifest: Manifest, p: float) -> None:
    plan = make_plan(manifest, encoding(**dict.fromkeys(manifest.tag_names, p)), "head")
    assert np.isfinite(plan.probabilities).all()
    assert manifest.reporting_names.index("Granuloma") not in plan.tags
    assert len(plan.tags) == 5 * p


def test_tags_as_they_are(manifest: Manifest) -> None:
    tags = encoding(Effusion=0.6, Infiltration=0.3, Consolidation=0.9, Lung__Opacity=0.2, Granuloma=0.5, Mass=1.0)
    plan = make_plan(manifest, tags)
    assert names(manifest, *plan.tags) == ["Lung Opacity", "Pleural Effusion", "Granuloma"]
    assert plan.probabilities[manifest.reporting_names.index("Lung Opacity")] == pytest.approx(0.9)
    assert plan.probabilities[manifest.reporting_names.index("Cardiomegaly")] == 0


def test_the_most_unusual_evidence_is_denied_first(manifest: Manifest) -> None:
    usual = np.array([0, -6, 0, 0, 0, 0], np.float32)  # of cardiomegaly, the second tag, there is next to no sign
    head = replace(manifest.evidence["head"], usual=usual)
    odd = replace(manifest, evidence={"head": head}, decoding=replace(manifest.decoding, denials=2))
    tags = dict.fromkeys(manifest.tag_names, 0.05) | {"Cardiomegaly": 0.1, "Pneumothorax": 0.2}
    assert names(manifest, *make_plan(odd, encoding(**tags), "head").denied) == ["Cardiomegaly", "Pneumothorax"]


def test_the_likeliest_negative_tags_with_evidence_are_denied(manifest: Manifest) -> None:
    three = replace(manifest, decoding=replace(manifest.decoding, denials=3))
    tags = encoding(Effusion=0.6, Infiltration=0.3, Atelectasis=0.4, Granuloma=0.1, Cardiomegaly=0.2)
    plan = make_plan(three, tags)
    assert names(manifest, *plan.tags) == ["Pleural Effusion"]
    assert names(manifest, *plan.denied) == ["Atelectasis", "Lung Opacity", "Cardiomegaly"]
    assert make_plan(manifest, tags).denied == ()
    head = make_plan(three, encoding(**dict.fromkeys(manifest.tag_names, 0.0)), "head")
    assert manifest.reporting_names.index("Granuloma") not in head.denied  # no evidence: not a word


def test_degrees_follow_the_probability(manifest: Manifest) -> None:
    tags = dict.fromkeys(manifest.tag_names, 0.02) | {"Effusion": 0.5, "Cardiomegaly": 0.8, "Pneumothorax": 0.99}
    plan = make_plan(manifest, encoding(**tags), "head")
    details = {manifest.reporting_names[t]: plan.topic(t).details for t in plan.tags}
    assert details == {
        "Pneumothorax": {Detail.MARKED},
        "Cardiomegaly": frozenset(),
        "Pleural Effusion": {Detail.MILD},
    }
    (topic,) = make_plan(manifest, encoding(Effusion=0.99)).findings  # no cuts for tags of unknown source
    assert not topic.details


def test_tags_that_no_training_sentence_denies_are_not_denied(manifest: Manifest) -> None:
    tags = tuple(replace(t, deniable=t.name != "Atelectasis") for t in manifest.reporting_tags)
    restricted = replace(manifest, reporting_tags=tags, decoding=replace(manifest.decoding, denials=9))
    plan = make_plan(restricted, encoding(**dict.fromkeys(manifest.tag_names, 0.01)), "head")
    assert sorted(names(manifest, *plan.denied)) == ["Cardiomegaly", "Lung Opacity", "Pleural Effusion", "Pneumothorax"]


def test_threshold_overrides(manifest: Manifest) -> None:
    tags = encoding(Effusion=0.6, Cardiomegaly=0.3)
    assert make_plan(manifest, tags, threshold=0.7).tags == ()
    assert names(manifest, *make_plan(manifest, tags, threshold=0.3).tags) == ["Pleural Effusion", "Cardiomegaly"]
    full = encoding(**dict.fromkeys(manifest.tag_names, 0.9))
    assert len(make_plan(manifest, full, "head", 0.1).tags) == 5


def test_equal_probabilities_keep_the_bundles_order(manifest: Manifest) -> None:
    assert make_plan(manifest, encoding(Cardiomegaly=0.8, Effusion=0.8)).tags == (0, 1)


def test_unknown_source(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="'densenet'; it knows chexnet, head"):
        make_plan(manifest, encoding(Effusion=0.5), "densenet")


def test_missing_inputs(manifest: Manifest) -> None:
    with pytest.raises(InvalidTagsError, match=r"'chexnet' needs more tags: Atelectasis, Cardiomegaly"):
        make_plan(manifest, encoding(Effusion=0.5), "chexnet")
