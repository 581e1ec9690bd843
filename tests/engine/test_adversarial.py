"""Two networks against each other: one pass back, the right gradients of both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.catalog import BadInput
from engine.data.batches import Batch
from engine.events import Event, Finished, Point, Sample
from engine.home import Home
from engine.loop import averaged
from engine.models.dcgan import DCGAN, Spectral
from engine.predict import Predictor
from engine.recipe import Recipe
from engine.starts import Start
from engine.tasks.adversarial_generation import AdversarialGeneration

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]


def small(shape: tuple[int, int, int] = (8, 8, 1), outputs: int = 0, **how: Any) -> Any:
    torch.manual_seed(0)
    return DCGAN(shape, outputs, **{"channels": [4, 8], "code": 5, **how})


def batch(count: int = 6, shape: tuple[int, int, int] = (8, 8, 1)) -> Batch:
    height, width, depth = shape
    return Batch({"images": torch.rand(count, depth, height, width)}, rows=np.arange(count))


@pytest.mark.parametrize("spectral", [True, False])
def test_one_pass_back_gives_each_of_the_two_its_own_gradients(spectral: bool) -> None:
    model, items = small(spectral=spectral).eval(), batch()
    task = AdversarialGeneration(smoothing=0.1)
    step = task.step(model, items)
    step["loss"].backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert min(float(grad.abs().max()) for grad in found.values()) > 0
    drawn = task.step(model, items)["output"]

    def alone(loss: torch.Tensor, part: str) -> None:
        """What the textbook's two steps would each give."""
        model.zero_grad()
        loss.backward(retain_graph=True)
        for name, parameter in model.named_parameters():
            if name.startswith("generator") == (part == "generator"):
                torch.testing.assert_close(found[name], parameter.grad, msg=name)

    real, fake = model(items.inputs["images"]), model(drawn.detach())
    critic = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9))
    critic = critic + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    alone(critic, "critic")
    verdict = model(drawn)
    generator = F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))
    alone(generator, "generator")
    torch.testing.assert_close(step["loss"], critic + generator)


def test_the_generators_look_at_the_critic_counts_for_nothing() -> None:
    """Batch normalization has seen the real pictures and the drawn ones, and nothing twice."""
    model, items = small(spectral=False), batch()
    AdversarialGeneration().step(model.train(), items)
    counts = {n: int(c) for n, c in model.named_buffers() if n.endswith("num_batches_tracked")}
    assert {n.split(".")[0]: c for n, c in counts.items()} == {"critic": 2, "generator": 1}
    spectral = small().train()
    before = {n: b.clone() for n, b in spectral.named_buffers() if n.endswith("direction")}
    AdversarialGeneration().step(spectral.eval(), items)
    for name, buffer in spectral.named_buffers():
        if name in before:
            assert torch.equal(buffer, before[name])


def test_a_weight_is_divided_by_its_largest_singular_value() -> None:
    torch.manual_seed(0)
    scale, weight = Spectral(6), torch.randn(6, 3, 2, 2)
    for _ in range(200):
        scaled = scale(weight)
    assert float(torch.linalg.matrix_norm(scaled.flatten(1), 2)) == pytest.approx(1, rel=1e-4)
    scale.eval()
    scale.direction.mul_(1e-3)  # as an average of directions may be
    torch.testing.assert_close(scale(weight), scaled, rtol=1e-3, atol=1e-5)


def test_an_averaged_critic_judges_like_the_one_that_learns() -> None:
    model = small()
    follower = averaged(model, 0.9)
    learner = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for _ in range(20):
        AdversarialGeneration().step(model, batch())["loss"].backward()
        learner.step()
        learner.zero_grad()
        follower.update_parameters(model)
    with torch.no_grad():
        verdicts = follower.module.eval()(batch(50).inputs["images"])
    assert float(verdicts.abs().max()) < 10


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("shape", [(28, 28, 1), (30, 45, 3), (8, 8, 1)])
def test_pictures_of_any_shape_are_drawn_and_what_the_critic_sees_starts_a_classifier(
    shape: tuple[int, int, int], spectral: bool
) -> None:
    height, width, depth = shape
    model = small(shape, spectral=spectral).eval()
    first, again, other = (
        model.generate(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (4, depth, height, width)
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert model(first).shape == (4, 1)
    classifier = small(shape, 3, spectral=spectral)
    taken = Start("run 1", dict(model.state_dict())).into(classifier, tuple("abc"))
    assert set(taken.loaded) == {n for n in model.state_dict() if n.startswith("critic.")}
    assert classifier(first).shape == (4, 3)


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(BadInput, match="7×12 pixels are too small"):
        DCGAN((7, 12, 1), 0)


def test_drawn_digits_come_nearer_and_new_ones_need_nothing_but_a_seed(
    home: Home, recipe: Make, events: CarryOut
) -> None:
    wanted = recipe(
        model="DCGAN", task="AdversarialGeneration", method__epochs=6, method__batch_size=32,
        method__threads=1, method__accumulate=2, model__channels=[8, 16], model__code=16,
        method__learning_rate=2e-3, method__average=0.9, task__probe="none",
    )  # fmt: skip
    assert wanted.method.settings["momentum"] == 0.5  # as its authors advise
    *seen, last = events(wanted)
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    apart = [e.value for e in seen if isinstance(e, Point) and e.series == "validation/frechet"]
    assert apart[-1] < 0.75 * apart[0]
    assert last.metrics["headline"] == "test/frechet"
    assert all(math.isfinite(x) for x in last.metrics.values() if isinstance(x, float))
    for told in ("test/real_accuracy", "test/fake_accuracy"):
        assert 0 <= last.metrics[told] <= 1
    rows = [e.data["rows"] for e in seen if isinstance(e, Sample) and e.name == "drawn"]
    assert [len(row["images"]) for row in rows[-1]] == [10, 10, 10]

    predictor = Predictor(home, 1)
    asked = [{"seed": "1"}, {"seed": "1"}, {"seed": "2"}]
    first, again, other = predictor.answer(asked, {"drawn": 5})["results"]
    assert len(first["drawn"]) == 5
    assert first == again != other
    with pytest.raises(BadInput, match="whole number"):
        predictor.answer([{"seed": "-1"}])
