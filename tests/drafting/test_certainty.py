"""How surely a report speaks of a tag: limits, operating points, denials in sets, and what is never denied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.drafting.bands import evidence_bands
from cxreport.drafting.denials import choose_denials, widest_denial
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.plan import make_plan
from cxreport.errors import UsageError
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import CertaintyLimits, Manifest
from cxreport.model.session import Model
from cxreport.text.lexicon import Lexicon
from cxreport.types import Certainty, Detail, Encoding, OperatingPoint, Plan, PlannedTopic, Report, Study

BALANCED, SENSITIVE, SPECIFIC = OperatingPoint
STATED, POSSIBLE, ABSENT = Certainty


@pytest.fixture(scope="module")
def legacy(tiny_bundle: Path) -> Manifest:
    """A bundle without limits."""
    return load_manifest(tiny_bundle)


@pytest.fixture(scope="module")
def manifest(legacy: Manifest) -> Manifest:
    """A bundle with limits: possible from .4, certain from .8, absent to .1, sensitive from .2, specific from .6.

    Tags are mild below .42, marked above .95.
    """

    def same(value: float) -> np.ndarray:
        return np.full(len(legacy.reporting_tags), value, np.float32)

    limits = CertaintyLimits(certain=same(0.8), absent=same(0.1), sensitive=same(0.2), specific=same(0.6))
    sources = {
        name: replace(
            source,
            thresholds=same(0.4),
            mild=same(0.42),
            marked=same(0.95),
            limits=limits,
            bias=np.where(source.bias < -1, source.bias, 0),
        )
        for name, source in legacy.evidence.items()
    }
    decoding = replace(
        legacy.decoding,
        exact=True,
        findings_denials=(("Pleural Effusion", "Pneumothorax"), ("Pneumothorax",), ("Cardiomegaly", "Granuloma")),
        impression_denials=(("Pneumothorax", "Pleural Effusion", "Lung Opacity"), ("Pneumothorax",)),
    )
    return replace(legacy, evidence=sources, decoding=decoding)


def planned(manifest: Manifest, tags: dict[str, float], **options: object) -> Plan:
    given = dict.fromkeys(manifest.tag_names, 0.3) | tags
    return make_plan(manifest, Encoding(given, None, None), "head", **options)  # type: ignore[arg-type]


def told(manifest: Manifest, plan: Plan) -> dict[str, Certainty]:
    return {manifest.reporting_names[t.tag]: t.certainty for t in plan.findings if t.tag is not None}


def denied(manifest: Manifest, topics: tuple[PlannedTopic, ...]) -> list[set[str]]:
    return [{manifest.reporting_names[t] for t in topic.tags} for topic in topics if topic.tag is None]


def test_three_bands_and_silence(manifest: Manifest) -> None:
    plan = planned(manifest, {"Effusion": 0.9, "Cardiomegaly": 0.45, "Atelectasis": 0.3, "Pneumothorax": 0.05})
    assert told(manifest, plan) == {"Pleural Effusion": STATED, "Cardiomegaly": POSSIBLE}
    assert denied(manifest, plan.findings) == [{"Pneumothorax"}]
    assert plan.topic(manifest.reporting_names.index("Cardiomegaly")).details == {Detail.UNCERTAIN}


@pytest.mark.parametrize(
    ("probability", "details"),
    [
        (0.41, {Detail.UNCERTAIN, Detail.MILD}),
        (0.5, {Detail.UNCERTAIN}),
        (0.9, set()),
        (0.97, {Detail.MARKED}),
    ],
)
def test_degrees_are_told_of_what_is_possible_too(manifest: Manifest, probability: float, details: set[Detail]) -> None:
    plan = planned(manifest, {"Cardiomegaly": probability})
    assert plan.topic(manifest.reporting_names.index("Cardiomegaly")).details == details


def test_a_bundle_without_limits_tells_every_tag_flatly(legacy: Manifest) -> None:
    plan = planned(legacy, {"Effusion": 0.55, "Cardiomegaly": 0.9})
    assert set(told(legacy, plan).values()) == {STATED}


@pytest.mark.parametrize(
    ("point", "tags"),
    [
        (SENSITIVE, {"Pleural Effusion", "Cardiomegaly", "Atelectasis"}),
        (BALANCED, {"Pleural Effusion", "Cardiomegaly"}),
        (SPECIFIC, {"Pleural Effusion"}),
    ],
)
def test_operating_points_have_their_limits(manifest: Manifest, point: OperatingPoint, tags: set[str]) -> None:
    given = dict.fromkeys(manifest.tag_names, 0.01) | {"Effusion": 0.9, "Cardiomegaly": 0.45, "Atelectasis": 0.25}
    assert told(manifest, planned(manifest, given, point=point)).keys() == tags


def test_an_operating_point_needs_limits(legacy: Manifest) -> None:
    with pytest.raises(UsageError, match="'head': no limits for the operating point 'sensitive'"):
        planned(legacy, {}, point=SENSITIVE)
    with pytest.raises(UsageError, match="not named: no limits"):
        make_plan(legacy, Encoding({"Effusion": 0.6}, None, None), point=SPECIFIC)


def doubtful_chexnet(manifest: Manifest, usual: float) -> Manifest:
    """The bundle, with a CheXNet that its evidence hardly believes, and whose evidence is usually so (log odds)."""
    chexnet = manifest.evidence["chexnet"]
    doubtful = replace(chexnet, bias=np.full_like(chexnet.bias, -9), usual=np.full_like(chexnet.bias, usual))
    return replace(manifest, evidence={"chexnet": doubtful}, decoding=replace(manifest.decoding, denials=9))


@pytest.mark.parametrize("given", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("usual", [-13, -1])
def test_what_is_given_as_likely_is_never_denied_and_told_where_that_is_rare(
    manifest: Manifest, given: float, usual: float
) -> None:
    manifest = doubtful_chexnet(manifest, usual)
    tags = dict.fromkeys(manifest.tag_names, 0.02) | {"Pneumothorax": given}
    plan = make_plan(manifest, Encoding(tags, None, None), "chexnet")
    assert told(manifest, plan) == ({"Pneumothorax": POSSIBLE} if usual < -12 else {})
    assert [manifest.reporting_names[tag] for tag in plan.withheld] == ([] if usual < -12 else ["Pneumothorax"])
    assert not any("Pneumothorax" in names for names in denied(manifest, plan.findings + plan.impression))
    assert manifest.reporting_names.index("Pneumothorax") not in plan.deniable
    strict = make_plan(manifest, Encoding(tags, None, None), "chexnet", threshold=0.99)
    assert strict.tags == ()
    assert [manifest.reporting_names[tag] for tag in strict.withheld] == ["Pneumothorax"]
    assert not any("Pneumothorax" in names for names in denied(manifest, strict.findings + strict.impression))


@pytest.mark.parametrize(("score", "is_told"), [(2.6, True), (2.4, False), (0.5, False)])
def test_what_is_given_as_likely_is_told_where_its_score_is_high(
    manifest: Manifest, score: float, is_told: bool
) -> None:
    spread = manifest.evidence["chexnet"].spread[manifest.reporting_names.index("Pneumothorax")]
    manifest = doubtful_chexnet(manifest, -9 - score * spread)
    tags = dict.fromkeys(manifest.tag_names, 0.02) | {"Pneumothorax": 0.5}  # adds nothing to the bias of -9
    plan = make_plan(manifest, Encoding(tags, None, None), "chexnet")
    assert ("Pneumothorax" in told(manifest, plan)) == is_told
    assert bool(plan.withheld) != is_told


@pytest.mark.parametrize("given", [0.5, 0.8, 0.97])
def test_without_limits_what_is_given_as_likely_is_warned_of_and_not_denied_where_that_is_unusual(
    legacy: Manifest, given: float
) -> None:
    tags = dict.fromkeys(legacy.tag_names, 0.02) | {"Pneumothorax": given}
    row = legacy.reporting_names.index("Pneumothorax")
    for usual in (-13, -1):
        plan = make_plan(doubtful_chexnet(legacy, usual), Encoding(tags, None, None), "chexnet")
        assert plan.tags == ()  # such a bundle has no doubt to tell it with
        assert plan.withheld == (row,)
        assert (row in plan.deniable) == (usual == -1)  # there, the source says as much of any image
        assert (row in plan.denied) == (usual == -1)


def test_sets_are_denied_whole_or_not_at_all(manifest: Manifest) -> None:
    both = planned(manifest, {"Effusion": 0.05, "Pneumothorax": 0.05})
    assert denied(manifest, both.findings) == [{"Pleural Effusion", "Pneumothorax"}]
    one = planned(manifest, {"Pneumothorax": 0.05})
    assert denied(manifest, one.findings) == [{"Pneumothorax"}]
    assert denied(manifest, planned(manifest, {}).findings) == []


def test_a_tag_is_not_denied_beside_its_kin(manifest: Manifest) -> None:
    toml = manifest.lexicon.toml + b'\n[kin]\ntags = [["Pneumothorax", "Cardiomegaly"]]\n'
    kin = replace(manifest, lexicon=Lexicon(toml))
    tags = {"Cardiomegaly": 0.9, "Pneumothorax": 0.05}
    assert denied(manifest, planned(manifest, tags).findings) == [{"Pneumothorax"}]
    assert denied(kin, planned(kin, tags).findings) == []


def test_a_wider_denial_stands_for_that_of_its_kin(manifest: Manifest) -> None:
    toml = manifest.lexicon.toml + b'\n[kin]\ntags = [["Pneumothorax", "Pleural Effusion"]]\n'
    sets = (("Pleural Effusion",), ("Pneumothorax",))
    decoding = replace(manifest.decoding, findings_denials=sets)
    kin = replace(manifest, lexicon=Lexicon(toml), decoding=decoding)
    tags = {"Effusion": 0.05, "Pneumothorax": 0.05}
    assert denied(kin, planned(kin, tags).findings) == [{"Pneumothorax"}]
    assert denied(kin, planned(kin, {"Effusion": 0.05}).findings) == [{"Pleural Effusion"}]


def test_an_impression_names_the_most_urgent_tag_or_nothing(manifest: Manifest) -> None:
    names, all_ = manifest.reporting_names, np.ones(6, bool)
    heart = [("Granuloma", "Cardiomegaly")]
    assert widest_denial(names, heart, all_, ~all_, all_, ("Pneumothorax",)) == []
    assert denied(manifest, tuple(widest_denial(names, heart, all_, ~all_, all_, ("Cardiomegaly",)))) == [set(heart[0])]


def test_a_tag_without_evidence_is_denied_along_with_one_that_has_some(manifest: Manifest) -> None:
    heart = planned(manifest, {"Cardiomegaly": 0.05})
    assert denied(manifest, heart.findings) == [{"Cardiomegaly", "Granuloma"}]
    silent = choose_denials(
        manifest.reporting_names, [("Granuloma",)], np.zeros(6, bool), np.ones(6, bool), np.ones(6, bool)
    )
    assert silent == []


def test_an_impression_denies_the_widest_set_that_may_be_denied(manifest: Manifest) -> None:
    clear = planned(manifest, dict.fromkeys(manifest.tag_names, 0.01))
    assert denied(manifest, clear.impression) == [{"Pneumothorax", "Pleural Effusion", "Lung Opacity"}]
    partly = planned(manifest, {"Pneumothorax": 0.05})
    assert denied(manifest, partly.impression) == []  # a single denial sums nothing up
    names, all_ = manifest.reporting_names, np.ones(6, bool)
    assert widest_denial(names, [("Granuloma", "Unknown")], all_, ~all_, all_, ()) == []


@pytest.mark.parametrize(
    ("sets", "urgency", "chosen"),
    [
        ([("Granuloma",), ("Granuloma", "Cardiomegaly")], (), {"Granuloma", "Cardiomegaly"}),
        ([("Granuloma", "Cardiomegaly"), ("Pleural Effusion", "Pneumothorax")], (), {"Granuloma", "Cardiomegaly"}),
        (
            [("Granuloma", "Cardiomegaly"), ("Pleural Effusion", "Pneumothorax")],
            ("Pneumothorax", "Granuloma"),
            {"Pleural Effusion", "Pneumothorax"},
        ),
    ],
    ids=["wider", "more frequent", "more urgent"],
)
def test_of_sets_as_wide_the_urgent_one_is_denied(
    manifest: Manifest, sets: list[tuple[str, ...]], urgency: tuple[str, ...], chosen: set[str]
) -> None:
    all_ = np.ones(6, bool)
    topics = widest_denial(manifest.reporting_names, sets, all_, ~all_, all_, urgency)
    assert denied(manifest, tuple(topics)) == [chosen]


def test_raising_what_is_given_never_makes_it_less_sure(manifest: Manifest) -> None:
    evidence = manifest.evidence["head"]
    row, column = manifest.reporting_names.index("Pneumothorax"), evidence.inputs.index("Pneumothorax")
    assert evidence.weights[row, column] > 0
    ranks = {None: 0, ABSENT: -1, POSSIBLE: 1, STATED: 2}
    seen = []
    for p in np.linspace(0.01, 0.99, 50):
        plan = planned(manifest, {"Pneumothorax": float(p)})
        certainty = next((t.certainty for t in (*plan.findings,) if row in t.tags), None)
        seen.append(ranks[certainty])
    assert seen == sorted(seen)
    assert set(seen) == {-1, 0, 1, 2}


def test_bands_do_not_overlap(manifest: Manifest) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((200, 6), dtype=np.float32)
    for point in OperatingPoint:
        bands = evidence_bands(manifest.evidence["head"], probabilities, point=point)
        assert not (bands.told & bands.absent).any()
        assert not (bands.flat & ~bands.told).any()


def report(model: Model, manifest: Manifest, tags: dict[str, float], **options: object) -> Report:
    model.manifest = manifest
    study = Study("a", ("a",), None, tags=tags)
    (outcome,) = generate(model, [study], GenerateOptions(**options))  # type: ignore[arg-type]
    assert isinstance(outcome, Report)
    return outcome


@pytest.fixture
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


def test_a_table_with_one_column_denies_nothing_else(model: Model, legacy: Manifest, manifest: Manifest) -> None:
    for bundle in (legacy, manifest):
        outcome = report(model, bundle, {"Cardiomegaly": 0.1})
        statuses = legacy.lexicon.read_tags(" ".join(outcome.findings + outcome.impression))
        named = {tag: status for tag, status in statuses.items() if tag in bundle.reporting_names}
        assert named.keys() <= {"Cardiomegaly"}


def test_what_can_be_neither_told_nor_denied_is_said_so(model: Model, manifest: Manifest) -> None:
    outcome = report(model, manifest, {"Cardiomegaly": 0.3})
    assert outcome.findings == ("Nothing can be stated or excluded with confidence.",)
    assert outcome.impression == ("No finding can be stated with confidence.",)


def test_an_exact_bundle_says_what_is_planned_and_no_more(model: Model, manifest: Manifest) -> None:
    tags = dict.fromkeys(manifest.tag_names, 0.02) | {"Effusion": 0.95, "Atelectasis": 0.5}
    outcome = report(model, manifest, tags, evidence="head")
    statuses = manifest.lexicon.read_tags(" ".join(outcome.findings))
    assert statuses["Pleural Effusion"] == "present"
    assert statuses["Atelectasis"] == "uncertain"
    assert {plan.tag: plan.certainty for plan in outcome.plan} == {
        "Pleural Effusion": STATED,
        "Atelectasis": POSSIBLE,
    }
    assert not any("intact" in sentence for sentence in outcome.findings)  # a sentence that nothing planned
    assert outcome.operating_point is BALANCED
    assert report(model, manifest, tags, evidence="head", threshold=0.9).operating_point is None


def test_the_reader_is_warned_of_what_is_withheld(model: Model, manifest: Manifest) -> None:
    tags = dict.fromkeys(manifest.tag_names, 0.02) | {"Pneumothorax": 0.6}
    outcome = report(model, manifest, tags, evidence="head", threshold=0.99)
    assert any("Pneumothorax" in warning for warning in outcome.warnings)
    assert "Pneumothorax" not in manifest.lexicon.read_tags(" ".join(outcome.findings + outcome.impression))
