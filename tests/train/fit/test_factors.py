"""The factors' stage: convolutions in two of lower rank, taught to give the trained encoder's maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from quiet import Quiet  # noqa: E402
from training_data import make_nih, write_recipe  # noqa: E402

from cxreport.train.config import EncoderConfig, FactorConfig, load_config  # noqa: E402
from cxreport.train.data.images import ImageSplits, nih_images  # noqa: E402
from cxreport.train.fit import factors as fit  # noqa: E402
from cxreport.train.fit.loop import Stage  # noqa: E402
from cxreport.train.networks.build import new_encoder, whole_encoder  # noqa: E402
from cxreport.train.networks.encoder import Encoder, to_input  # noqa: E402
from cxreport.train.networks.factors import Factors, factor, layers, stored_ranks  # noqa: E402

LAYERS = 16


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    return load_config(write_recipe(tmp_path_factory.mktemp("recipe") / "r.toml", "unpaired")).encoder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSplits:
    root = tmp_path_factory.mktemp("images")
    make_nih(root / "nih")
    return nih_images(load_config(write_recipe(root / "r.toml", "unpaired")), root)


@pytest.fixture
def encoder(config: EncoderConfig) -> Encoder:
    torch.manual_seed(3)
    encoder = whole_encoder(config, 14)
    for _, layer in layers(encoder.features):
        layer.weight.data *= 2.5  # as random start values of so many layers fade to nothing
    return encoder.eval()


def test_of_full_rank_nothing_changes(encoder: Encoder, images: ImageSplits) -> None:
    pixels = images.val.pixels[:8]
    with torch.inference_mode():
        wanted = encoder.maps(to_input(pixels))
    components, whole = fit.output_components(encoder, images.train.pixels[:32]), dict(layers(encoder.features))
    pairs = factor(encoder.features, [layer.out_channels for layer in whole.values()])
    assert list(pairs) == list(whole)
    for name, pair in pairs.items():
        pair.approximate(whole[name], *components[name])
    with torch.inference_mode():
        for found, expected in zip(encoder.maps(to_input(pixels)), wanted, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_components_are_those_of_the_outputs(encoder: Encoder, images: ImageSplits) -> None:
    """Of a layer with few places, so that all of them are counted."""
    pixels, (name, layer) = images.train.pixels[:32], list(layers(encoder.features))[-1]
    outputs: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output.detach().clone()))
    mean, directions = fit.output_components(encoder, pixels)[name]
    places = torch.cat(outputs).permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(mean, places.mean(0), rtol=1e-3, atol=1e-5)
    variances = ((places - mean) @ directions).var(0)
    assert (variances.diff() <= 1e-6 * variances[0]).all()
    torch.testing.assert_close(variances.sum(), places.var(0).sum(), rtol=1e-3, atol=0.0)


@pytest.mark.usefixtures("one_thread")
def test_the_maps_are_learned(encoder: Encoder, config: EncoderConfig, images: ImageSplits, tmp_path: Path) -> None:
    """From a third of each layer's channels, with the head and the norms of the trained encoder."""
    ranks = tuple(max(2, layer.out_channels // 3) for _, layer in layers(encoder.features))
    table = FactorConfig((0, *ranks[1:]), images=600, lr=2e-3, warmup=5, ema=0.8)
    config, quiet = replace(config, factors=table), Quiet()
    stage = Stage(tmp_path, config.stage, quiet, 7)
    still = replace(table, images=config.batch, lr=0.0)
    start = fit.fit_factors(encoder, config, still, images, replace(stage, name="still"))
    student = fit.fit_factors(encoder, config, table, images, stage)
    first, last = (figures["distances"] for _, figures in (quiet.epochs[0], quiet.epochs[-1]))
    assert len(last) == len(encoder.features.channels) + 1
    assert sum(last) < 0.6 * sum(first)
    for part in ("tag_head", "norm"):
        for name, weights in getattr(student, part).state_dict().items():
            assert weights.equal(getattr(encoder, part).state_dict()[name]), name
    names = [name for name, layer in student.features.named_children() if isinstance(layer, Factors)]
    assert len(names) == LAYERS - 1
    assert not student.training
    assert start.state_dict().keys() == student.state_dict().keys()

    again = new_encoder(config, 14)
    again.load_state_dict(torch.load(stage.weights, weights_only=True))
    for name, weights in student.state_dict().items():
        assert weights.equal(again.state_dict()[name]), name
    assert stored_ranks(whole_encoder(config, 14).features, again.features.state_dict()) == table.ranks


def test_balanced_factors_give_the_same_maps(encoder: Encoder, images: ImageSplits) -> None:
    pixels, ranks = images.train.pixels[:32], [layer.out_channels // 2 for _, layer in layers(encoder.features)]
    pairs = factor(encoder.features, ranks)
    for pair in pairs.values():
        pair[0].weight.data *= torch.logspace(-2, 2, len(pair[0].weight))[:, None, None, None]
        pair[1].weight.data /= torch.logspace(-2, 2, len(pair[0].weight))[None, :, None, None]

    def ranges() -> list[float]:
        """Largest over smallest range of the channels in between, of each layer."""
        peaks: list[torch.Tensor] = []
        handles = [
            pair[0].register_forward_hook(lambda _layer, _inputs, output: peaks.append(output.abs().amax((0, 2, 3))))
            for pair in pairs.values()
        ]
        encoder.maps(to_input(pixels))
        for handle in handles:
            handle.remove()
        return [float(found.max() / found.min()) for found in peaks]

    with torch.inference_mode():
        wanted, before = encoder.maps(to_input(pixels)), ranges()
        fit.balance(encoder, pixels)
        after = ranges()
        for found, expected in zip(encoder.maps(to_input(pixels)), wanted, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    assert all(there < here / 5 for here, there in zip(before, after, strict=True))


def test_a_finished_stage_is_loaded(
    encoder: Encoder, config: EncoderConfig, images: ImageSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = FactorConfig((0, *[1] * (LAYERS - 1)), images=16, lr=1e-3)
    config, stage = replace(config, factors=table), Stage(tmp_path, "factors", Quiet(), 7)
    student = fit.fit_factors(encoder, config, table, images, stage)
    monkeypatch.setattr(fit, "output_components", lambda *_: pytest.fail("fitted anew"))
    again = fit.fit_factors(encoder, config, table, images, stage)
    for weights, same in zip(student.state_dict().values(), again.state_dict().values(), strict=True):
        assert weights.equal(same)


@pytest.mark.parametrize("count", [LAYERS - 1, LAYERS + 1])
def test_ranks_are_counted(encoder: Encoder, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} ranks for {LAYERS}"):
        factor(encoder.features, [2] * count)


def test_images_are_taken_from_all_folders_in_whole_passes(
    encoder: Encoder, config: EncoderConfig, images: ImageSplits
) -> None:
    both = replace(images, small=images.val)
    count = len(both.train) + len(images.val)
    task = fit.FactorTask(encoder, encoder, config, both, count, images.val.pixels[:8])
    seen = list(task.batches(np.random.default_rng(0)))
    assert len(seen) == task.steps == count // config.batch
    pixels = np.concatenate([batch.pixels for batch in seen])
    assert len(np.unique(pixels.reshape(len(pixels), -1), axis=0)) == len(pixels)
