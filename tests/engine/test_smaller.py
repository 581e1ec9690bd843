"""Models made smaller: 8 bits, 16 bits, fewer weights, a smaller model taught by a larger one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine import checkpoint, session
from engine.catalog import BadInput, Catalog
from engine.compression.aware import Aware
from engine.compression.int8 import Int8, Int8Conv2d, Int8Linear, shaped_as
from engine.data.batches import Batch
from engine.events import Event, Finished, Notice
from engine.explain import Explainer
from engine.home import Home
from engine.methods.distillation import Distillation, Taught, divergence
from engine.methods.pruning import smallest, weakest
from engine.models.convnet import ConvNet
from engine.pictures import png
from engine.predict import Predictor
from engine.recipe import Choice, Recipe, compose

Make = Callable[..., Recipe]
CarryOut = Callable[..., list[Event]]
RESNET: dict[str, Any] = {
    "model": "ResNet", "model__depth": "8", "model__width": 8, "method__threads": 1,
}  # fmt: skip
PICTURE = {"png": png(torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)))}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, kept_cache: Path, catalog: Catalog) -> Path:
    """A run's folder, made once for all."""
    root = tmp_path_factory.mktemp("once")
    (root / "cache").symlink_to(kept_cache)
    home = Home.find(root)
    made = compose(catalog, names={"data": "Digits8x8", "model": "ResNet"}, settings={
        "model.depth": "8", "model.width": 8, "method.epochs": 5, "method.precision": "fp32",
        "method.learning_rate": 0.02, "method.batch_size": 128, "method.threads": 1,
    })  # fmt: skip
    finished(list(session.run(made, home, 1)))
    return home.run(1)


@pytest.fixture
def trained(home: Home, once: Path) -> int:
    shutil.copytree(once, home.run(1))
    return 1


def finished(said: list[Event]) -> dict[str, Any]:
    last = said[-1]
    assert isinstance(last, Finished)
    assert last.state == "finished", last.reason
    return last.metrics


def weights(home: Home, run: int) -> dict[str, torch.Tensor]:
    return checkpoint.weights(checkpoint.find(home.checkpoints(run), "best")[1])


def size(home: Home, run: int) -> int:
    folder = checkpoint.find(home.checkpoints(run), "best")[1]
    return (folder / "model.safetensors").stat().st_size


def layers() -> list[tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(0)
    return [
        (nn.Linear(20, 30), torch.randn(4, 20)),
        (nn.Linear(20, 30, bias=False), torch.randn(4, 5, 20)),
        (nn.Conv2d(6, 8, 3, padding=1, stride=2), torch.rand(4, 6, 9, 9)),
        (nn.Conv2d(6, 12, 3, padding="same", groups=6, bias=False), torch.randn(4, 6, 9, 9)),
        (nn.Conv2d(6, 4, 3, dilation=2), torch.randn(4, 6, 9, 9) * 100),
    ]


def rounded(layer: nn.Module, inputs: torch.Tensor) -> Int8:
    low, high = min(0.0, float(inputs.min())), float(inputs.max())
    scale = torch.tensor((high - low) / 127)
    kind = Int8Linear if isinstance(layer, nn.Linear) else Int8Conv2d
    return kind.of(layer, scale, (-low / scale).round())


@pytest.mark.parametrize(("layer", "inputs"), layers())
def test_whole_numbers_say_what_float32_says_within_their_rounding(
    layer: nn.Module, inputs: torch.Tensor
) -> None:
    made = rounded(layer, inputs)
    with torch.inference_mode():
        exact = layer(inputs)
        assert (made(inputs) - exact).abs().max() < 0.05 * exact.abs().max()
        # However they are computed, it is the same arithmetic: nothing overflows.
        torch.testing.assert_close(
            made.multiplied(inputs), made.widened(inputs), atol=1e-4 * float(exact.abs().max()),
            rtol=1e-4,
        )  # fmt: skip


def test_gradients_pass_the_rounding() -> None:
    layer, inputs = layers()[0]
    made, asked = rounded(layer, inputs), inputs.clone().requires_grad_()
    made(asked).sum().backward()
    assert asked.grad is not None
    torch.testing.assert_close(
        asked.grad, layer.weight.sum(0).expand_as(asked), atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize("method", ["PostTrainingInt8", "QuantizationAware"])
def test_a_run_in_eight_bits_is_a_quarter_of_the_size_and_answers_alike(
    home: Home, recipe: Make, events: CarryOut, trained: int, method: str
) -> None:
    before = Predictor(home, 1)
    made = recipe(**RESNET, method__epochs=1, start=trained, method="QuantizationAware")
    if method == "PostTrainingInt8":
        made = at_once(made, method)
    said = events(made, number=2)
    metrics = finished(said)
    kept = weights(home, 2)
    assert sum(tensor.dtype == torch.int8 for tensor in kept.values()) == 8
    assert not any("running_mean" in name for name in kept)  # folded
    assert size(home, 2) < 0.45 * size(home, 1)  # of a tiny model names take much
    assert metrics["test/accuracy"] > finished_before(home, before)["accuracy"] - 0.05
    assert metrics["parameters"] > 0
    predictor = Predictor(home, 2)
    (one,) = before.answer([PICTURE])["results"]
    (other,) = predictor.answer([PICTURE])["results"]
    if method == "PostTrainingInt8":
        assert one["classes"][0]["label"] == other["classes"][0]["label"]
        assert one["classes"][0]["probability"] == pytest.approx(
            other["classes"][0]["probability"], abs=0.1
        )
        told = [event.text for event in said if isinstance(event, Notice)]
        assert any("layers hold 8-bit numbers, computed in" in text for text in told)
    # What was measured is what is kept and answers.
    assert metrics["test/accuracy"] == pytest.approx(finished_before(home, predictor)["accuracy"])


def at_once(made: Recipe, method: str, **settings: Any) -> Recipe:
    """The same with a method that trains nothing."""
    return made.model_copy(update={"method": Choice(name=method, settings=settings)})


def finished_before(home: Home, predictor: Predictor) -> dict[str, Any]:
    """What its weights reach on the test split."""
    from engine.judging import judged

    answer = judged(home, predictor.run, "test")
    while True:
        try:
            next(answer)
        except StopIteration as end:
            found = end.value
            return {"accuracy": float((found.said == found.true).mean())}


def test_a_checkpoint_of_whole_numbers_gives_a_model_its_layers() -> None:
    torch.manual_seed(0)
    model = ConvNet((8, 8, 1), 3, channels=(4,), hidden=(8,)).eval()
    made = rounded(model.head[0], torch.rand(2, 64))
    tensors = model.state_dict()
    del tensors["head.0.weight"]
    tensors |= {f"head.0.{name}": tensor for name, tensor in made.state_dict().items()}
    checkpoint.load_weights(model, tensors)
    assert isinstance(model.head[0], Int8Linear)
    torch.testing.assert_close(model.head[0].int8, made.int8)
    plain = ConvNet((8, 8, 1), 3, channels=(4,), hidden=(8,))
    shaped_as(plain, plain.state_dict())
    assert not any(isinstance(part, Int8) for part in plain.modules())


def test_what_explains_an_answer_explains_it_in_eight_bits(
    home: Home, recipe: Make, events: CarryOut, trained: int
) -> None:
    finished(events(at_once(recipe(**RESNET, start=trained), "PostTrainingInt8"), number=2))
    original, smaller = (Explainer(Predictor(home, run), home) for run in (trained, 2))
    smaller.predictor.answer([PICTURE])  # in inference mode, before any gradient is asked for
    named = [way["name"] for way in smaller.choices(PICTURE)["ways"]]
    assert named == [way["name"] for way in original.choices(PICTURE)["ways"]]
    assert {"GradCam", "IntegratedGradients", "NearestItems", "FeatureMaps"} <= {*named}
    found = {name: smaller.explain(PICTURE, name) for name in named}
    path = found["IntegratedGradients"]
    # Gradients pass the rounding as if it weren't there: little is missing of their sum.
    assert path["missing"] < 0.25 * abs(path["sum"])
    maps = original.explain(PICTURE, "FeatureMaps")["maps"]
    assert found["FeatureMaps"]["maps"]["layers"] == maps["layers"]


def test_nothing_starts_from_eight_bits(
    home: Home, recipe: Make, events: CarryOut, trained: int
) -> None:
    finished(events(at_once(recipe(**RESNET, start=trained), "PostTrainingInt8"), number=2))
    *_, last = events(recipe(**RESNET, start=2), number=3)
    assert isinstance(last, Finished)
    assert "start from the run that it was made from" in last.reason


def test_what_trains_nothing_takes_no_part_of_chance(
    recipe: Make, events: CarryOut, trained: int
) -> None:
    wider = recipe(**{**RESNET, "model__width": 10}, start=trained)
    *_, last = events(at_once(wider, "HalfPrecision"), number=2)
    assert isinstance(last, Finished)
    assert last.state == "failed"
    assert "choose" in last.reason


@pytest.mark.parametrize(("kept_as", "near"), [("fp16", 1e-3), ("bf16", 1e-2)])
def test_sixteen_bits_halve_the_file(
    home: Home, recipe: Make, events: CarryOut, trained: int, kept_as: str, near: float
) -> None:
    made = recipe(**RESNET, start=trained)
    finished(events(at_once(made, "HalfPrecision", kept_as=kept_as), number=2))
    assert size(home, 2) < 0.6 * size(home, 1)
    (one,), (other,) = (Predictor(home, run).answer([PICTURE])["results"] for run in (1, 2))
    assert one["classes"][0]["probability"] == pytest.approx(
        other["classes"][0]["probability"], abs=10 * near
    )


@pytest.mark.parametrize(("way", "each"), [("single weights", 1), ("whole channels", 9)])
def test_pruned_weights_are_zero_and_stay_so(
    home: Home, recipe: Make, events: CarryOut, trained: int, way: str, each: int
) -> None:
    made = recipe(
        **RESNET, method="Pruning", start=trained, method__sparsity=0.8, method__what=way,
        method__epochs=3,
    )  # fmt: skip
    finished(events(made, number=2))
    kept = weights(home, 2)
    tables = [tensor for tensor in kept.values() if tensor.ndim >= 2]
    zeros = sum(int((tensor == 0).sum()) for tensor in tables)
    assert zeros / sum(tensor.numel() for tensor in tables) == pytest.approx(0.8, abs=0.1)
    if each > 1:
        for name, tensor in kept.items():
            if tensor.ndim < 2 or name.startswith("head"):  # which has the classes
                continue
            assert (tensor.flatten(1) == 0).all(1).any()


def test_a_pruning_that_was_resumed_equals_one_that_never_stopped(
    home: Home, recipe: Make, events: CarryOut, trained: int
) -> None:
    made = recipe(**RESNET, method="Pruning", start=trained, method__epochs=4)
    finished(events(made, number=2))
    events(made, number=3, wishes={17: "pause"})
    finished(events(made, number=3, resume=True))
    once, twice = weights(home, 2), weights(home, 3)
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor)


def test_an_aware_run_that_was_resumed_equals_one_that_never_stopped(
    home: Home, recipe: Make, events: CarryOut, trained: int
) -> None:
    made = recipe(**RESNET, method="QuantizationAware", start=trained, method__epochs=2)
    finished(events(made, number=2))
    events(made, number=3, wishes={13: "pause"})
    finished(events(made, number=3, resume=True))
    once, twice = weights(home, 2), weights(home, 3)
    for name, tensor in once.items():
        assert torch.equal(twice[name], tensor), name


def test_the_smallest_go_first_and_a_channel_of_each_layer_stays() -> None:
    one, other = torch.tensor([[1.0, -5.0], [0.1, 3.0]]), torch.tensor([[-0.2], [4.0]])
    left = smallest([one, other], 0.5)
    assert left[0].tolist() == [[False, True], [False, True]]
    assert left[1].tolist() == [[False], [True]]
    assert [kept.flatten().tolist() for kept in weakest([one, other], 0.99)] == [
        [True, False], [False, True],
    ]  # fmt: skip


def test_an_aware_layer_follows_ranges_only_while_it_learns() -> None:
    layer = Aware(nn.Linear(4, 2))
    layer.train()
    layer(torch.rand(3, 4))
    known = layer.input.activation_post_process.max_val.clone()
    layer.eval()
    layer(torch.rand(3, 4) * 100)
    assert torch.equal(layer.input.activation_post_process.max_val, known)


def test_a_student_learns_from_its_teacher(
    home: Home, recipe: Make, events: CarryOut, trained: int
) -> None:
    student = recipe(
        **{**RESNET, "model__width": 4}, method="Distillation",
        method__teacher=trained, method__epochs=6, method__learning_rate=0.02,
    )  # fmt: skip
    assert student.parent == trained
    metrics = finished(events(student, number=2))
    theirs = finished_before(home, Predictor(home, trained))["accuracy"]
    assert theirs > 0.9
    assert metrics["test/accuracy"] > 0.6  # of ten classes, with a quarter of the weights
    assert size(home, 2) < size(home, 1)
    *_, last = events(student.model_copy(update={"method": student.method.model_copy(
        update={"settings": {**student.method.settings, "teacher": 99}}
    )}), number=3)  # fmt: skip
    assert isinstance(last, Finished)
    assert "Run 99 has kept no weights to learn from" in last.reason
    with pytest.raises(BadInput, match="needs a run to learn from"):
        Distillation()


def test_the_divergence_is_none_between_equals_and_its_gradient_keeps_its_size() -> None:
    torch.manual_seed(0)
    theirs = torch.randn(8, 5)
    assert float(divergence(theirs, theirs, 4.0)) == pytest.approx(0.0, abs=1e-6)
    sizes = []
    for temperature in (1.0, 20.0):
        own = torch.zeros(8, 5, requires_grad=True)
        divergence(own, theirs, temperature).backward()
        assert own.grad is not None
        sizes.append(float(own.grad.norm()))
    assert 0.3 < sizes[0] / sizes[1] < 3


def test_a_student_hears_its_labels_and_its_teacher_by_turns_of_alpha() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(6, 4), torch.randint(0, 3, (6,))
    batch = Batch({"input": inputs}, targets)
    student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
    task: Any = Labelled()
    labels = float(task.step(student, batch)["loss"].detach())
    t, alpha = 3.0, 0.7
    with torch.no_grad():
        p, q = ((model(inputs) / t).softmax(1) for model in (teacher, student))
    soft = t**2 * float((p * (p / q).log()).sum(1).mean())  # Hinton et al. 2015
    said = Taught(task, teacher, t, alpha).step(student, batch)["loss"]  # type: ignore[arg-type]
    assert said.item() == pytest.approx((1 - alpha) * labels + alpha * soft, rel=1e-5)
    said.backward()
    assert teacher.weight.grad is None
    student.eval()  # judged by its labels alone, as any other
    judged = Taught(task, teacher, t, alpha).step(student, batch)["loss"]  # type: ignore[arg-type]
    assert judged.item() == pytest.approx(labels)


class Labelled:
    """A task that learns from labels."""

    def step(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        output = model(**batch.inputs)
        return {"output": output, "loss": nn.functional.cross_entropy(output, batch.targets)}


def test_averaging_does_not_go_with_zeros(recipe: Make, events: CarryOut, trained: int) -> None:
    made = recipe(**RESNET, method="Pruning", start=trained, method__average=0.9)
    *_, last = events(made, number=2)
    assert isinstance(last, Finished)
    assert "doesn't go with an average of weights" in last.reason
