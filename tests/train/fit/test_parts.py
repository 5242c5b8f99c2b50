"""Parts of a batch on threads of their own give what the whole gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.train.fit.parts import BatchParts  # noqa: E402


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def network() -> torch.nn.Sequential:
    torch.manual_seed(2)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("size", [16, 11])  # 11 has parts of 6 and 5
def test_outputs_and_gradients_are_those_of_the_whole(size: int) -> None:
    batch = torch.randn(size, 1, 8, 8)
    whole, parted = network(), network()
    outputs, parts = whole(batch), BatchParts(parted, bf16=False)(batch)
    torch.testing.assert_close(parts, outputs)
    for output in (outputs, parts):
        output.square().sum().backward()
    for ours, theirs in zip(parted.parameters(), whole.parameters(), strict=True):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.usefixtures("two_threads")
def test_gradients_add_up_the_same_each_time() -> None:
    batch, gradients = torch.randn(16, 1, 8, 8), []
    for _ in range(8):
        module = network()
        BatchParts(module, bf16=False)(batch).square().sum().backward()
        gradients.append(module[0].weight.grad)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


@pytest.mark.usefixtures("two_threads")
def test_layers_that_are_not_trained_and_errors_in_a_part() -> None:
    module = network()
    module[0].requires_grad_(False)
    BatchParts(module, bf16=False)(torch.randn(8, 1, 8, 8)).sum().backward()
    assert module[0].weight.grad is None
    assert module[2].weight.grad is not None
    with pytest.raises(RuntimeError):
        BatchParts(module, bf16=False)(torch.randn(8, 3, 8, 8))
    head = torch.nn.Parameter(torch.ones(()))
    (BatchParts(network().requires_grad_(False), bf16=False)(torch.randn(8, 1, 8, 8)) * head).sum().backward()
    assert head.grad is not None  # of what comes after a network that stays as it is


def test_small_batches_and_measuring_go_in_one_piece() -> None:
    module = network()
    with torch.no_grad():
        assert BatchParts(module, bf16=False)(torch.randn(2, 1, 8, 8)).shape == (2, 2, 4, 4)
