"""Any dataset of the hub: its Parquet files are fetched, checked by their length, and imported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import encoded

from engine.catalog import BadInput
from engine.data import fetch, hub, origins
from engine.data.arrays import Stored
from engine.data.imports import Imported
from engine.data.options import ImportOptions
from engine.home import Home
from tests.engine.data.serving import Site, serving

PETS = ("cat", "dog")
STRING = {"dtype": "string", "_type": "Value"}
CLASS = {"names": list(PETS), "_type": "ClassLabel"}


def parquet(columns: dict[str, Any], features: dict[str, Any] | None = None) -> bytes:
    """A Parquet file with what the hub's library writes into its schema."""
    table = pa.table(columns)
    if features is not None:
        said = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": said})
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return bytes(out.getvalue())


def reviews(first: int, count: int) -> bytes:
    rows = range(first, first + count)
    texts = [f"Film {n} is {'very good' if n % 2 else 'rather bad'} to me." for n in rows]
    features = {"text": STRING, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    return parquet({"text": texts, "label": [n % 2 for n in rows]}, features)


def pictures(first: int, count: int) -> bytes:
    rows = range(first, first + count)
    images = [
        {"bytes": encoded(np.array([[n, 2 * n], [0, 255]], np.uint8)), "path": f"{n}.png"}
        for n in rows
    ]
    features = {"image": {"_type": "Image"}, "label": CLASS}
    return parquet({"image": images, "label": [n % 2 for n in rows]}, features)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving() as site:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        yield site


def publish(site: Site, name: str, configs: dict[str, dict[str, list[bytes]]]) -> None:
    """Make the site a hub that has such a dataset."""
    site.put(f"/api/datasets/{name}/parquet", {
        config: {
            split: [
                site.put(f"/api/datasets/{name}/parquet/{config}/{split}/{n}.parquet", content)
                for n, content in enumerate(files)
            ]
            for split, files in splits.items()
        }
        for config, splits in configs.items()
    })  # fmt: skip


def install(name: str, tmp_path: Path, *, mirror: Path | None = None, **options: Any) -> Stored:
    home = Home.find(tmp_path / "home")
    into = home.dataset(1)
    try:
        *_, last = origins.get(
            f"hub:{name}", into, home=home, mirror=mirror, options=ImportOptions(**options)
        )
    finally:
        assert not list(home.tmp.iterdir())
        assert [path.name for path in home.datasets.iterdir()] in ([], ["1"])
    assert isinstance(last, Imported)
    return Stored(into)


def test_texts_come_in_the_splits_that_the_hub_names(site: Site, tmp_path: Path) -> None:
    publish(site, "films/reviews", {"plain_text": {
        "train": [reviews(0, 30), reviews(30, 30)], "test": [reviews(60, 20)],
        "unsupervised": [reviews(80, 10)],
    }})  # fmt: skip
    stored = install("films/reviews", tmp_path)
    assert stored.kind == "text"
    assert stored.classes == ("neg", "pos")
    assert len(stored) == 80
    assert stored.rows("test").tolist() == list(range(60, 80))
    assert stored.ragged("text").text(59) == "Film 59 is very good to me."
    assert stored.manifest.origin == f"{site.address}/datasets/films/reviews"
    assert any("unsupervised" in said for said in stored.manifest.warnings)
    assert not any("unsupervised" in path for path, _ in site.asked)


def test_pictures_lie_inside_the_table(site: Site, tmp_path: Path) -> None:
    publish(site, "pets/few", {"default": {"train": [pictures(0, 40)]}})
    stored = install("pets/few", tmp_path)
    assert stored.kind == "images"
    assert stored.classes == PETS
    assert len(stored) == 40
    assert stored.shape == (2, 2, 1)


def test_a_page_s_address_names_a_dataset_too(site: Site, tmp_path: Path) -> None:
    publish(site, "films/reviews", {"a": {"train": [reviews(0, 40)]},
                                    "b": {"train": [reviews(0, 30)]}})  # fmt: skip
    stored = install("https://huggingface.co/datasets/films/reviews/viewer/b/train", tmp_path)
    assert len(stored) == 30


def test_of_several_configurations_one_must_be_said(site: Site, tmp_path: Path) -> None:
    publish(site, "films/reviews", {"de": {"train": [reviews(0, 40)]},
                                    "en": {"train": [reviews(0, 30)]}})  # fmt: skip
    with pytest.raises(BadInput) as caught:
        install("films/reviews", tmp_path)
    assert str(caught.value) == (
        "films/reviews has several configurations: de, en. Say which, as in hub:films/reviews@de"
    )
    with pytest.raises(BadInput, match=r"has no “fr”, but de, en\. Say which"):
        install("films/reviews@fr", tmp_path)
    assert len(install("films/reviews@en", tmp_path)) == 30


def test_a_download_goes_on_where_it_broke_off(site: Site, tmp_path: Path) -> None:
    publish(site, "films/reviews", {"default": {"train": [reviews(0, 60)]}})
    path = "/api/datasets/films/reviews/parquet/default/train/0.parquet"
    site.breaks[path] = [500]
    assert len(install("films/reviews", tmp_path)) == 60
    assert site.ranges(path) == ["", "bytes=500-"]


def test_the_token_is_shown_to_the_hub_alone(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with serving() as other:
        publish(site, "films/reviews", {"default": {"train": [reviews(0, 40)]}})
        far = other.put("/far.parquet", reviews(0, 20))
        site.put("/api/datasets/films/reviews/parquet", {"default": {"train": [far]}})
        assert len(install("films/reviews", tmp_path)) == 20
        assert site.asked[0][1]["authorization"] == "Bearer secret"
        assert not any("authorization" in head for _, head in other.asked)


@pytest.mark.parametrize("code", [401, 403])
def test_a_gated_dataset_is_said_with_what_to_do(site: Site, tmp_path: Path, code: int) -> None:
    site.codes["/api/datasets/films/secret/parquet"] = code
    with pytest.raises(BadInput) as caught:
        install("films/secret", tmp_path)
    assert str(caught.value) == (
        f"127.0.0.1 doesn't give secret to everyone (HTTP {code}): it is gated, private or doesn't "
        f"exist: accept its terms at {site.address}/datasets/films/secret, then set HF_TOKEN to an "
        "access token of your account"
    )


def test_a_dataset_that_is_not_there_and_one_without_files(site: Site, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no none \(HTTP 404\): look whether"):
        install("films/none", tmp_path)
    publish(site, "films/empty", {})
    with pytest.raises(BadInput, match="The hub has made no Parquet files of films/empty"):
        install("films/empty", tmp_path)
    site.put("/api/datasets/films/odd/parquet", ["what"])
    with pytest.raises(BadInput, match="look at HF_ENDPOINT"):
        install("films/odd", tmp_path)


def test_without_a_network_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput) as caught:
        install("films/reviews", tmp_path)
    assert (
        "There is no connection to 127.0.0.1: connect this computer to the network, or put its "
        "files into hub/films/reviews/CONFIG/SPLIT/0.parquet in the folder named by ANNEAL_MIRROR"
    ) in str(caught.value)


LYING = "/api/datasets/films/lies/parquet"


@pytest.mark.parametrize(
    "said",
    [b"[" * 100_000, b'{"a": ' * 100_000, b"\xff", b"[1]", b'{"default": 3}',
     b'{"default": {"train": "x"}}', b'{"default": {"train": [3]}}', b"1" * 10_000],
)  # fmt: skip
def test_a_listing_that_is_none_is_a_sentence(site: Site, tmp_path: Path, said: bytes) -> None:
    site.put(LYING, said)
    with pytest.raises(BadInput, match="doesn't answer as the Hugging Face hub does"):
        install("films/lies", tmp_path)


@pytest.mark.parametrize(
    "url",
    ["http://[", "http://x:99999999/", "http://\ud800/", "file:///etc/passwd", "", "//x/y",
     "https://" + "x" * 70_000],
)  # fmt: skip
def test_an_address_in_the_listing_that_is_none_is_a_sentence(
    site: Site, tmp_path: Path, url: str
) -> None:
    site.put(LYING, {"default": {"train": [url]}})
    with pytest.raises(BadInput, match="isn't an address that begins with https") as caught:
        install("films/lies", tmp_path)
    assert len(str(caught.value).encode()) < 300  # and can be written


def test_names_in_the_listing_that_are_no_text_are_a_sentence(site: Site, tmp_path: Path) -> None:
    url = site.put("/x.parquet", reviews(0, 40))
    site.put(LYING, {"\ud800" + "x" * 9999: {"train": [url]}, "b": {"train": [url]}})
    with pytest.raises(BadInput, match="has several configurations") as caught:
        install("films/lies", tmp_path)
    assert len(str(caught.value).encode()) < 400
    site.put(LYING, {"default": {"train": [url], "\ud800": [url]}})
    assert any(
        "neither train" in said for said in install("films/lies", tmp_path).manifest.warnings
    )


def test_a_listing_without_end_is_refused(site: Site, tmp_path: Path) -> None:
    site.put(LYING, {})
    site.endless.add(LYING)
    with pytest.raises(BadInput, match="sends more than 4 MB for lies"):
        install("films/lies", tmp_path)


def test_a_listing_leads_nowhere_into_the_own_network(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # “localhost” stands for a host of the public network.
    looked_up = fetch.inside
    monkeypatch.setattr(fetch, "inside", lambda host: host != "localhost" and looked_up(host))
    monkeypatch.setenv("HF_ENDPOINT", site.address.replace("127.0.0.1", "localhost"))
    site.put(LYING, {"default": {"train": [site.put("/secret", reviews(0, 40))]}})
    with pytest.raises(BadInput, match=r"localhost sends on to “127\.0\.0\.1”, which is in this"):
        install("films/lies", tmp_path)
    assert [path for path, _ in site.asked] == [LYING]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>busy</html>", b"PAR1" + b"x" * 50])
def test_what_comes_and_is_no_parquet_file_is_said_and_not_kept(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    publish(site, "films/reviews", {"default": {"train": [content]}})
    with pytest.raises(BadInput, match=r"for train/0\.parquet of films/reviews is no Parquet file"):
        install("films/reviews", tmp_path)
    cache = tmp_path / "home" / "cache"
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["0.parquet.lock"]
    publish(site, "films/reviews", {"default": {"train": [reviews(0, 40)]}})
    assert len(install("films/reviews", tmp_path)) == 40


@pytest.mark.parametrize(("kind", "said"), [("pipe", "is no file"), ("empty", "is empty"),
                                            ("page", "is no Parquet file")])  # fmt: skip
def test_what_is_no_file_in_a_mirror_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    lies = tmp_path / "mirror" / "hub" / "films" / "reviews" / "default" / "train" / "0.parquet"
    lies.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(lies)
    else:
        lies.write_bytes(b"" if kind == "empty" else b"<html>busy</html>")
    with pytest.raises(BadInput, match=rf"0\.parquet {said}: "):
        install("films/reviews", tmp_path, mirror=tmp_path / "mirror")
    assert lies.exists()


def test_a_mirror_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = tmp_path / "mirror" / "hub" / "films" / "reviews" / "default"
    for split, (first, count) in {"train": (0, 40), "test": (40, 20)}.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "0.parquet").write_bytes(reviews(first, count))
    stored = install("films/reviews", tmp_path, mirror=tmp_path / "mirror")
    assert len(stored.rows("test")) == 20


@pytest.mark.parametrize(
    "name",
    ["../../etc", "a/..", "a/b/c", ".hidden/x", "a b/c", "owner/name@../x", "owner/na\nme", "a//b"],
)
def test_an_id_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"is no dataset of the hub: write owner/name"):
        hub.parse(name)


def test_names_of_folders_from_the_hub_are_not_trusted(site: Site, tmp_path: Path) -> None:
    publish(site, "films/bad", {"default": {"../../train": [reviews(0, 9)]}})
    with pytest.raises(BadInput, match=r"can't be the name of a folder"):
        install("films/bad", tmp_path)


def test_a_split_that_is_called_just_so_goes_first(site: Site, tmp_path: Path) -> None:
    publish(site, "films/chat", {"default": {
        "train": [reviews(0, 30)], "train_gen": [reviews(30, 30)], "test": [reviews(60, 20)],
    }})  # fmt: skip
    stored = install("films/chat", tmp_path)
    assert len(stored) == 50
    assert any(said.endswith("test: train_gen") for said in stored.manifest.warnings)


def test_of_several_splits_for_the_same_none_is_taken(site: Site, tmp_path: Path) -> None:
    splits = {"train_sft": [reviews(0, 30)], "test_sft": [reviews(30, 20)]}
    publish(site, "films/one", {"default": splits})
    assert len(install("films/one", tmp_path).rows("test")) == 20
    publish(site, "films/two", {"default": splits | {"train_gen": [reviews(50, 30)]}})
    with pytest.raises(BadInput) as caught:
        install("films/two", tmp_path / "other")
    assert str(caught.value) == (
        "films/two has several splits for train: train_sft, train_gen. Download the files of "
        f"those that you want from {site.address}/datasets/films/two and import them"
    )
