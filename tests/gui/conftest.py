"""One site with its home for all the tests of a file, and a client that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from gui.shell import Anneal, Served
from tests.gui import fakes


@pytest.fixture(scope="module")
def anneal(tmp_path_factory: pytest.TempPathFactory) -> Anneal:
    return fakes.make(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def site(anneal: Anneal) -> Iterator[Served]:
    with fakes.served(anneal) as running:
        yield running


@pytest.fixture(scope="module")
def ask(site: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        yield client


@pytest.fixture
def answers(anneal: Anneal) -> Iterator[fakes.FakeAnswers]:
    assert isinstance(anneal.answers, fakes.FakeAnswers)
    yield anneal.answers
    anneal.answers.__init__()  # type: ignore[misc]
