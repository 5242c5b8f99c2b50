"""The encoder's stage: a teacher beside the labels, layers that stay as they start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from quiet import Quiet  # noqa: E402
from training_data import make_nih, write_recipe  # noqa: E402

from cxreport.datasets.nih import FINDINGS, read_labels  # noqa: E402
from cxreport.errors import TrainingError  # noqa: E402
from cxreport.train.config import TeacherConfig, TrainConfig, load_config  # noqa: E402
from cxreport.train.data.images import ImageSplits, SoftTargets, nih_images  # noqa: E402
from cxreport.train.fit.encoder import PhaseBatch, PhaseTask, correlation, fit_encoder  # noqa: E402
from cxreport.train.fit.loop import Stage  # noqa: E402
from cxreport.train.networks.build import new_encoder  # noqa: E402
from cxreport.train.networks.encoder import augment, disturb, has_bfloat16_units, to_input  # noqa: E402

SURE, RARE = 4.0, -6.9  # logits of a teacher that knows, and of what no image shows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with a teacher that knows them, and a table of labels whose train part says the opposite."""
    root = tmp_path_factory.mktemp("taught")
    folder = make_nih(root / "nih")
    truth, train = read_labels(folder), set((folder / "train_list.txt").read_text().split())
    shown, rng = np.any(list(truth.values()), axis=0), np.random.default_rng(4)
    with (root / "teacher.csv").open("w") as stream:
        stream.write(",".join(["Image Index", *(f"logit_{finding}" for finding in FINDINGS)]) + "\n")
        for name, labels in truth.items():
            logits = np.where(shown, SURE * (2 * labels - 1), rng.normal(RARE, 1, len(FINDINGS)))
            stream.write(",".join([name, *(f"{logit:.3f}" for logit in logits)]) + "\n")
    names = [finding for finding, here in zip(FINDINGS, shown, strict=True) if here]
    cells = [row.split(",") for row in (folder / "Data_Entry_2017.csv").read_text().splitlines()]
    for row in cells:
        if row[0] in train:
            row[1] = "|".join(name for name in names if name not in row[1].split("|")) or "No Finding"
    (folder / "Data_Entry_2017.csv").write_text("\n".join(map(",".join, cells)))
    return root


def config(root: Path, teacher: TeacherConfig | None) -> TrainConfig:
    return replace(load_config(write_recipe(root / "r.toml", "unpaired")), teacher=teacher)


def val_auc(root: Path, folder: Path, teacher: TeacherConfig | None) -> dict[str, float]:
    recipe, progress = config(root, teacher), Quiet()
    folder.mkdir()
    weight = teacher.logit_weight if teacher else 0.0
    fit_encoder(recipe.encoder, nih_images(recipe, root), None, Stage(folder, "encoder", progress, 7), weight)
    figures = progress.epochs[-1][1]
    return {"auc": figures["val_auc"]["mean"], "teacher": figures.get("val_teacher", float("nan"))}


@pytest.mark.parametrize("logit_weight", [0.0, 0.1])
@pytest.mark.usefixtures("one_thread")
def test_a_teacher_is_learned_where_labels_are_wrong(root: Path, tmp_path: Path, logit_weight: float) -> None:
    teacher = TeacherConfig(("teacher.csv",), weight=1.0, logit_weight=logit_weight)
    taught = val_auc(root, tmp_path / "taught", teacher)
    assert taught["auc"] > 0.8
    if not logit_weight:
        assert val_auc(root, tmp_path / "alone", None)["auc"] < 0.2


def test_the_teacher_is_asked_by_name_and_small_images_follow(root: Path) -> None:
    recipe = config(root, TeacherConfig(("teacher.csv",), weight=0.5))
    recipe = replace(recipe, data=replace(recipe.data, nih_small=("nih",)))
    images = nih_images(recipe, root)
    assert images.soft is not None
    assert images.small is not None
    assert len(images.soft.labels) == len(images.train) + len(images.small)
    np.testing.assert_array_equal(images.soft.logits[: len(images.train)], images.soft.logits[len(images.train) :])
    np.testing.assert_array_equal(images.soft.val_logits > 0, images.val.labels > 0)  # of these very images
    probability = 1 / (1 + np.exp(-images.soft.logits))
    labels = np.concatenate([images.train.labels, images.small.labels])
    np.testing.assert_allclose(images.soft.labels, (labels + probability) / 2, rtol=1e-5)


def test_tables_without_the_images_are_told(root: Path) -> None:
    (root / "other.csv").write_text((root / "teacher.csv").read_text().replace(".png", ".jpg"))
    with pytest.raises(TrainingError, match="no output"):
        nih_images(config(root, TeacherConfig(("other.csv",))), root)


def task(soft: SoftTargets, images: ImageSplits, recipe: TrainConfig, logit_weight: float) -> PhaseTask:
    torch.manual_seed(0)
    encoder = new_encoder(recipe.encoder, len(FINDINGS)).eval()
    return PhaseTask(encoder, recipe.encoder, replace(images, soft=soft), 0, 3, logit_weight)


def test_the_loss_has_the_distance_to_standardised_logits(root: Path) -> None:
    recipe = config(root, None)
    recipe = replace(recipe, encoder=replace(recipe.encoder, phases=(replace(recipe.encoder.phases[0], mixup=0.0),)))
    images = nih_images(recipe, root)
    rng = np.random.default_rng(0)
    logits = rng.normal(-3, 2, (len(images.train), 14)).astype(np.float32)
    soft = SoftTargets(1 / (1 + np.exp(-logits)), logits, np.zeros((len(images.val), 14), np.float32))
    batch = next(task(soft, images, recipe, 0.5).batches(np.random.default_rng(1)))
    assert batch.logits is not None
    np.testing.assert_allclose(batch.labels, 1 / (1 + np.exp(-batch.logits)), rtol=1e-5)
    far = PhaseBatch(batch.step, batch.pixels, batch.labels, batch.logits + logits.std(0))
    plain, weighed = (task(soft, images, recipe, weight) for weight in (0.0, 0.5))
    assert plain.loss(batch).item() == plain.loss(far).item()
    encoder = weighed._encoder
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16_units()):
        ours = encoder(augment(to_input(batch.pixels), recipe.encoder.size, generator, True))[1].float().numpy()
    distance = (ours - batch.logits) / logits.std(0)
    difference = 2 * (weighed.loss(far) - weighed.loss(batch)).item()
    assert difference == pytest.approx(1 - 2 * distance.mean(), rel=0.02)  # of the means of (d - 1)^2 and d^2


@pytest.mark.usefixtures("one_thread")
def test_layers_without_a_rate_stay_as_they_start(root: Path, tmp_path: Path) -> None:
    recipe = config(root, None)
    encoder_config = replace(recipe.encoder, lr_low=0.0, phases=(replace(recipe.encoder.phases[0], images=16),))
    torch.manual_seed(7)
    start = [weights.clone() for weights in new_encoder(encoder_config, len(FINDINGS)).parameter_groups().early]
    stage = Stage(tmp_path, "encoder", Quiet(), 7)
    groups = fit_encoder(encoder_config, nih_images(recipe, root), None, stage).parameter_groups()
    assert all(torch.equal(a, b) for a, b in zip(start, groups.early, strict=True))
    assert all(weights.requires_grad for group in groups for weights in group)  # later stages may tune them
    torch.manual_seed(7)
    late = new_encoder(encoder_config, len(FINDINGS)).parameter_groups().late
    assert not any(torch.equal(a, b) for a, b in zip(late, groups.late, strict=True))


def test_correlation_passes_over_what_the_teacher_did_not_see() -> None:
    ours = np.array([[0, 3], [1, 2], [2, 1], [9, 0]], np.float32)
    taught = np.array([[1, 0], [2, 1], [3, 2], [np.nan, 3]], np.float32)
    assert correlation(ours, taught) == pytest.approx((1 - 1) / 2, abs=1e-6)
    taught[:, 1] = 4  # says nothing
    assert correlation(ours, taught) == pytest.approx(1)
    assert correlation(ours, np.full_like(taught, np.nan)) == 0


@pytest.mark.usefixtures("one_thread")
def test_cycles_follow_each_other_and_an_interrupted_one_goes_on(root: Path, tmp_path: Path) -> None:
    recipe = config(root, None)
    first = replace(recipe.encoder.phases[0], images=16, mixup=0.0)
    later = replace(first, restart=0.5, noise=4.0, erase=0.5)
    encoder_config = replace(recipe.encoder, phases=(first, first, later, replace(later, restart=0.0)))
    images = nih_images(recipe, root)

    def train(folder: Path, progress: Quiet) -> dict[str, torch.Tensor]:
        folder.mkdir(exist_ok=True)
        return fit_encoder(encoder_config, images, None, Stage(folder, "encoder", progress, 7)).state_dict()

    progress = Quiet()
    whole = train(tmp_path / "whole", progress)
    assert [stage for stage, _ in progress.epochs] == ["encoder_1", "encoder_1", "encoder", "encoder"]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", Quiet(("encoder", 1)))
    resumed = train(tmp_path / "parts", Quiet())
    assert all(torch.equal(resumed[name], weights) for name, weights in whole.items())
    (tmp_path / "whole" / "encoder_1.pt").unlink()  # the end is enough, as where a run takes the encoder of another
    again = train(tmp_path / "whole", Quiet())
    assert all(torch.equal(again[name], weights) for name, weights in whole.items())


def test_disturbed_images_keep_their_grey_and_lose_at_most_a_quarter() -> None:
    grey = torch.full((64, 1, 32, 32), 100.0)
    noisy = disturb(grey, 4.0, 0.0, torch.Generator().manual_seed(1))
    assert (noisy - grey).abs().max() < 25
    assert abs(float(noisy.mean()) - 100) < 0.2
    deviations = noisy.flatten(1).std(1)
    assert float(deviations.max()) < 4.5
    assert float(deviations.min()) < 0.5  # some hardly at all
    hidden = disturb(grey, 0.0, 0.5, torch.Generator().manual_seed(1)) != grey
    shares = hidden.float().mean((1, 2, 3))
    assert 0.3 < float((shares > 0).float().mean()) < 0.7
    assert float(shares.max()) <= 0.25
    torch.testing.assert_close(disturb(grey, 0.0, 0.0, torch.Generator()), grey)
