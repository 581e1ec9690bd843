"""What the engine's tests share: a home, the catalogue, and small recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import session
from engine.catalog import Catalog, discover
from engine.events import Event
from engine.home import Home
from engine.loop import Wish
from engine.recipe import Recipe, compose
from storage.history import History


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return discover()


@pytest.fixture(scope="session")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path: Path, kept_cache: Path) -> Home:
    """An empty home, but for the unpacked digits."""
    root = tmp_path / "home"
    root.mkdir()
    (root / "cache").symlink_to(kept_cache)
    return Home.find(root)


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with tiny models in the place of those of the hub that cards name by default."""
    from tests.engine import tiny_clip  # seconds: only where they are wanted
    from tests.engine.tiny_hub import defaults

    mirror = tmp_path_factory.mktemp("mirror")
    defaults(mirror)
    tiny_clip.save(mirror / "models" / "openai" / "clip-vit-base-patch32")
    return mirror


@pytest.fixture
def history(home: Home) -> Iterator[History]:
    with History(home.database) as opened:
        yield opened


@pytest.fixture
def recipe(catalog: Catalog) -> Callable[..., Recipe]:
    """A recipe of a small model on the 8×8 digits; settings as ``model__dropout=0.2``."""

    def make(
        *, seed: int = 0, start: int | None = None, labels: str | None = None, **given: Any
    ) -> Recipe:
        names = {"data": "Digits8x8"} | {k: v for k, v in given.items() if "__" not in k}
        settings = {
            "method.epochs": 2, "method.batch_size": 128, "method.precision": "fp32",
            "method.threads": 1,
        } | {k.replace("__", "."): v for k, v in given.items() if "__" in k}  # fmt: skip
        if names.get("model", "ConvNet") == "ConvNet":
            settings = {"model.channels": [4, 8], "model.hidden": [16]} | settings
        return compose(
            catalog, names=names, settings=settings, seed=seed, start=start, labels=labels,  # type: ignore[arg-type]
        )  # fmt: skip

    return make


@pytest.fixture
def events(home: Home) -> Callable[..., list[Event]]:
    """Carry a recipe out to its end; wishes are given as ``{step: wish}``."""

    def carry_out(
        recipe: Recipe, *, number: int = 1, resume: bool = False,
        wishes: dict[int, Wish] | None = None,
    ) -> list[Event]:  # fmt: skip
        asked = iter(range(1, 10**9))
        return list(session.run(
            recipe, home, number, resume=resume,
            wishes=lambda: (wishes or {}).get(next(asked)),
        ))  # fmt: skip

    return carry_out


@pytest.fixture(autouse=True)
def _one_size_of_threads() -> Iterator[None]:
    """Other tests' settings must not reach the next one."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
