"""Downloads: whole and checked, or not there; never from the start where a part has come."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.catalog import BadInput
from engine.data import archive, fetch
from engine.data.fetch import Pinned
from engine.data.options import Step
from engine.home import Home
from tests.engine.data.serving import Site, serving

CONTENT = random.Random(0).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    with serving() as site:
        site.put("/data.bin", CONTENT)
        yield site


def get(url: str, to: Path, **how: Any) -> list[Step]:
    """All that it said; the file is there then, and nothing beside it but its lock."""
    said = list(fetch.fetch(url, to, **how))
    assert to.read_bytes() == CONTENT
    assert leftovers(to) == []
    return said


def leftovers(to: Path) -> list[str]:
    kept = (to.name, to.name + ".lock", to.name + ".state")
    return [path.name for path in to.parent.iterdir() if path.name not in kept]


def refusal(url: str, to: Path, **how: Any) -> str:
    with pytest.raises(BadInput) as caught:
        list(fetch.fetch(url, to, **how))
    assert not to.exists()
    return str(caught.value)


def test_a_file_comes_whole_with_progress_in_bytes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.Pace, "due", lambda self: True)
    said = get(site.address + "/data.bin", tmp_path / "a" / "data.bin", sha256=SHA256)
    shares = [step.done for step in said]
    assert shares == sorted(shares)
    assert shares[-1] == 1000
    assert any(step.text == "Downloading data.bin: 0.5 of 1.0 MB" for step in said)


def test_what_is_there_is_checked_and_not_fetched_again(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    to.write_bytes(CONTENT)
    get(site.address + "/data.bin", to, sha256=SHA256)
    assert site.asked == []
    to.write_bytes(CONTENT[:-1] + b"!")
    get(site.address + "/data.bin", to, sha256=SHA256)
    assert len(site.asked) == 1


def test_a_file_without_a_hash_is_fetched_again_when_there_is_a_newer(
    site: Site, tmp_path: Path
) -> None:
    to, url = tmp_path / "data.bin", site.address + "/data.bin"
    get(url, to)
    get(url, to)
    assert site.asked[-1][1]["if-none-match"]
    site.put("/data.bin", b"newer")
    list(fetch.fetch(url, to))
    assert to.read_bytes() == b"newer"
    site.codes["/data.bin"] = 503
    list(fetch.fetch(url, to))
    assert to.read_bytes() == b"newer"


def test_a_broken_connection_is_resumed(site: Site, tmp_path: Path) -> None:
    site.breaks["/data.bin"] = [300_000, 300_000]
    get(site.address + "/data.bin", tmp_path / "data.bin")
    assert site.ranges("/data.bin") == ["", "bytes=300000-", "bytes=600000-"]


def test_breaks_that_bring_something_are_forgiven_without_end(site: Site, tmp_path: Path) -> None:
    site.breaks["/data.bin"] = [100_000] * 9
    get(site.address + "/data.bin", tmp_path / "data.bin", sha256=SHA256)
    assert len(site.asked) == 10


def test_a_connection_that_brings_nothing_is_given_up(site: Site, tmp_path: Path) -> None:
    site.breaks["/data.bin"] = [0] * 99
    text = refusal(site.address + "/data.bin", tmp_path / "data.bin")
    assert text.startswith("The connection to 127.0.0.1 breaks again and again: try again")
    assert len(site.asked) == fetch.TRIES


def test_a_download_that_was_left_goes_on(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    site.breaks["/data.bin"] = [400_000]
    come = fetch.fetch(site.address + "/data.bin", to)
    assert any("trying again" in step.text for step in come)
    come.close()
    assert not to.exists()
    assert (tmp_path / "data.bin.part").stat().st_size == 400_000
    get(site.address + "/data.bin", to)
    assert site.ranges("/data.bin") == ["", "bytes=400000-"]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_that_has_changed_since_starts_over(
    site: Site, tmp_path: Path, pinned: bool
) -> None:
    to = tmp_path / "data.bin"
    site.put("/data.bin", CONTENT[::-1])
    site.breaks["/data.bin"] = [400_000]
    come = fetch.fetch(site.address + "/data.bin", to)
    assert any("trying again" in step.text for step in come)
    come.close()
    site.put("/data.bin", CONTENT)
    get(site.address + "/data.bin", to, sha256=SHA256 if pinned else "")


def test_a_part_of_which_nothing_is_known_starts_over(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"of something else")
    get(site.address + "/data.bin", tmp_path / "data.bin")
    assert site.ranges("/data.bin") == [""]


def test_without_an_etag_only_a_pinned_file_is_resumed(site: Site, tmp_path: Path) -> None:
    site.tags = False
    for name, how in {"a": {}, "b": {"sha256": SHA256}}.items():
        site.breaks["/data.bin"] = [400_000]
        get(site.address + "/data.bin", tmp_path / name / "data.bin", **how)
    assert site.ranges("/data.bin") == ["", "", "", "bytes=400000-"]


def test_a_damaged_part_is_found_by_the_hash_and_fetched_anew(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    site.breaks["/data.bin"] = [400_000]
    come = fetch.fetch(site.address + "/data.bin", to, sha256=SHA256)
    assert any("trying again" in step.text for step in come)
    come.close()
    part = tmp_path / "data.bin.part"
    part.write_bytes(b"\0" * part.stat().st_size)
    get(site.address + "/data.bin", to, sha256=SHA256)


def test_a_wrong_hash_is_said_and_nothing_stays(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    text = refusal(site.address + "/data.bin", to, sha256="0" * 64, remedy="put it there")
    assert text.startswith("data.bin from 127.0.0.1 isn't the file that was expected (SHA-256 000")
    assert "it was removed" in text
    assert text.endswith("or put it there")
    assert leftovers(to) == []
    text = refusal(site.address + "/data.bin", to, md5="0" * 32)
    assert "MD5 000" in text


@pytest.mark.parametrize("size", [999_999, 1_000_001])
def test_another_size_is_said_before_it_is_downloaded(
    site: Site, tmp_path: Path, size: int
) -> None:
    text = refusal(site.address + "/data.bin", tmp_path / "data.bin", size=size)
    assert f"data.bin at 127.0.0.1 has 1,000,000 bytes instead of {size:,}" in text
    assert leftovers(tmp_path / "data.bin") == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (404, "127.0.0.1 has no x.bin (HTTP 404): look whether http://127.0.0.1"),
        (403, "127.0.0.1 doesn't give x.bin to everyone (HTTP 403): set HF_TOKEN"),
        (401, "127.0.0.1 doesn't give x.bin to everyone (HTTP 401): set HF_TOKEN"),
        (503, "127.0.0.1 is busy (HTTP 503): try again later"),
        (418, "127.0.0.1 doesn't give x.bin (HTTP 418): try again later"),
    ],
)
def test_an_answer_that_is_no_file_is_said_plainly(
    site: Site, tmp_path: Path, code: int, said: str
) -> None:
    site.codes["/x.bin"] = code
    text = refusal(site.address + "/x.bin", tmp_path / "x.bin", refused="set HF_TOKEN")
    assert text.startswith(said)
    assert leftovers(tmp_path / "x.bin") == []


def test_without_a_network_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/poems.txt"
        file = Pinned("poems/poems.txt", url)
        with pytest.raises(BadInput) as caught:
            list(fetch.provide([file], home=Home.find(tmp_path), mirror=tmp_path / "none"))
    assert str(caught.value).startswith(
        "There is no connection to 127.0.0.1: connect this computer to the network, or put "
        "poems.txt into poems/ in the folder named by ANNEAL_MIRROR and try again"
    )


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x/y", "data.bin", "http:///x", "http://[", "http://x:99999999/",
     "http://\ud800/", "http://a\nb/", "http://x/" + "y" * 70_000],
)  # fmt: skip
def test_only_the_web_is_asked(tmp_path: Path, url: str) -> None:
    assert "isn't an address" in refusal(url, tmp_path / "x")


def test_redirects_are_followed_and_the_token_stays_with_its_host(
    site: Site, tmp_path: Path
) -> None:
    with serving() as other:
        site.moved["/data.bin"] = "/moved.bin"
        site.moved["/moved.bin"] = other.put("/far.bin", CONTENT)
        other.breaks["/far.bin"] = [400_000]
        get(site.address + "/data.bin", tmp_path / "data.bin", token="secret")
        heads = [head for path, head in site.asked if path in ("/data.bin", "/moved.bin")]
        assert len(heads) == 4
        assert {head["authorization"] for head in heads} == {"Bearer secret"}
        assert not any("authorization" in head for _, head in other.asked)
        assert other.ranges("/far.bin") == ["", "bytes=400000-"]


def test_a_redirect_in_a_circle_or_off_the_web_ends(site: Site, tmp_path: Path) -> None:
    site.moved["/round"] = "/round"
    assert "without end" in refusal(site.address + "/round", tmp_path / "x")
    for off in ("file:///etc/passwd", "http://127.0.0.1:99999999/x"):
        site.moved["/off"] = off
        assert "which isn't safe" in refusal(site.address + "/off", tmp_path / "x")
    site.moved["/off"] = "http://["
    refusal(site.address + "/off", tmp_path / "x")


def test_a_full_disk_is_said_and_its_room_given_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "data.bin"

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(fetch, "sync", full)
        text = refusal(site.address + "/data.bin", to)
    assert text == f"The disk is full: make room for {tmp_path} and download data.bin again"
    assert leftovers(to) == []
    free = archive.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: free)
    assert "make room" in refusal(site.address + "/data.bin", to)


def test_a_body_that_stops_is_given_up_in_a_bounded_time(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)
    monkeypatch.setattr(fetch, "STALLED", 0.8)
    site.stalls["/data.bin"] = 400_000
    for tags in (True, False):  # whether the part can be gone on from, or comes anew each time
        site.tags = tags
        began = time.monotonic()
        text = refusal(site.address + "/data.bin", tmp_path / "data.bin")
        assert text.startswith("The connection to 127.0.0.1 breaks again and again")
        assert time.monotonic() - began < 2


def test_by_itself_it_gives_up_within_a_minute() -> None:
    assert fetch.PATIENCE < fetch.STALLED <= 60


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "odd"])
def test_a_body_that_is_compressed_on_the_way_is_refused(
    site: Site, tmp_path: Path, coding: str
) -> None:
    site.put("/bomb", gzip.compress(bytes(10_000_000)))
    site.heads["/bomb"] = {"content-encoding": coding}
    text = refusal(site.address + "/bomb", tmp_path / "bomb")
    assert f"127.0.0.1 sends bomb compressed (“{coding}”), which it was asked not to" in text
    assert site.asked[-1][1]["accept-encoding"] == "identity"
    assert leftovers(tmp_path / "bomb") == []


def test_a_pinned_archive_whose_compression_is_named_comes_as_it_is(
    site: Site, tmp_path: Path
) -> None:
    site.heads["/data.bin"] = {"content-encoding": "gzip"}
    get(site.address + "/data.bin", tmp_path / "data.bin", sha256=SHA256)


def test_no_more_is_taken_than_may_come(site: Site, tmp_path: Path) -> None:
    site.endless.add("/data.bin")
    text = refusal(site.address + "/data.bin", tmp_path / "data.bin", most=2**20)
    assert "127.0.0.1 sends more than 1 MB for data.bin" in text
    assert leftovers(tmp_path / "data.bin") == []


@pytest.mark.parametrize(
    ("host", "is_inside"),
    [("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.168.1.1", True),
     ("169.254.169.254", True), ("0.0.0.0", True), ("fe80::1", True), ("fd00::1", True),
     ("::ffff:127.0.0.1", True), ("2130706433", True), ("0x7f.1", True), ("localhost", True),
     ("8.8.8.8", False), ("2606:4700:4700::1111", False), ("nobody.invalid", False),
     ("x" * 300, False)],
)  # fmt: skip
def test_which_hosts_are_in_this_computers_own_network(host: str, is_inside: bool) -> None:
    assert fetch.inside(host) == is_inside


def test_no_redirect_leads_from_outside_into_the_own_network(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # “localhost” stands for a host of the public network.
    looked_up = fetch.inside
    monkeypatch.setattr(fetch, "inside", lambda host: host != "localhost" and looked_up(host))
    outside = site.address.replace("127.0.0.1", "localhost")
    for there in (site.address + "/data.bin", "http://169.254.169.254/latest", "http://[::1]/x"):
        site.moved["/away"] = there
        text = refusal(outside + "/away", tmp_path / "x")
        assert text.startswith("localhost sends on to “")
        assert "is in this computer's own network and isn't asked" in text
    assert [path for path, _ in site.asked] == ["/away"] * 3
    text = refusal(site.address + "/data.bin", tmp_path / "x", listed=outside)
    assert "own network" in text
    site.moved["/away"] = "/data.bin"
    get(outside + "/away", tmp_path / "there" / "data.bin", listed=outside)


FETCHING = """
import sys
from pathlib import Path
from engine.data.fetch import fetch
for step in fetch(sys.argv[1], Path(sys.argv[2])):
    pass
"""


def begun(site: Site, to: Path) -> subprocess.Popen[bytes]:
    """A process that downloads, and has half of the file."""
    command = [sys.executable, "-c", FETCHING, site.address + "/data.bin", str(to)]
    process = subprocess.Popen(command)
    part = to.with_name("data.bin.part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= 256 * 2**10):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_killed_process_is_resumed_by_the_next(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    site.hold = threading.Event()
    process = begun(site, to)
    process.send_signal(signal.SIGKILL)
    process.wait()
    site.hold.set()
    assert not to.exists()
    have = (tmp_path / "data.bin.part").stat().st_size
    get(site.address + "/data.bin", to)
    assert have > 0
    assert site.ranges("/data.bin") == ["", f"bytes={have}-"]


def test_two_at_once_fetch_it_once(site: Site, tmp_path: Path) -> None:
    to = tmp_path / "data.bin"
    site.hold = threading.Event()
    process = begun(site, to)
    come = fetch.fetch(site.address + "/data.bin", to, sha256=SHA256)
    said = [next(come).text for _ in range(3)]
    assert said[-1] == "Waiting for another import that downloads data.bin"
    site.hold.set()
    list(come)
    assert process.wait() == 0
    assert to.read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_mirror_is_used_where_it_lies(site: Site, tmp_path: Path) -> None:
    home, mirror = Home.find(tmp_path / "home"), tmp_path / "mirror"
    file = Pinned("set/data.bin", site.address + "/data.bin", len(CONTENT), SHA256)
    lies = mirror / "set" / "data.bin"
    lies.parent.mkdir(parents=True)
    lies.write_bytes(CONTENT)
    assert provided(file, home, mirror) == lies
    assert site.asked == []
    assert not fetch.downloads(home).exists()
    lies.write_bytes(b"something else")
    with pytest.raises(BadInput, match=r"data\.bin isn't the file of the catalogue \(SHA-256"):
        provided(file, home, mirror)
    lies.unlink()
    assert provided(file, home, mirror) == home.cache / "downloads" / "set" / "data.bin"


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "empty"])
def test_what_is_no_file_in_a_mirror_is_refused(site: Site, tmp_path: Path, kind: str) -> None:
    file = Pinned("set/data.bin", site.address + "/data.bin")  # without a size or a hash
    lies = tmp_path / "mirror" / "set" / "data.bin"
    lies.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(lies)
        case "folder":
            lies.mkdir()
        case "device":
            lies.symlink_to("/dev/zero")
        case _:
            lies.touch()
    with pytest.raises(BadInput) as caught:
        provided(file, Home.find(tmp_path / "home"), tmp_path / "mirror")
    what = "is empty: get it again" if kind == "empty" else "is no file: put the file there"
    assert str(caught.value) == (
        f"{lies} {what}, or take it out of the folder named by ANNEAL_MIRROR"
    )
    assert site.asked == []


def test_another_address_is_asked_where_the_first_has_it_not(site: Site, tmp_path: Path) -> None:
    home = Home.find(tmp_path)
    file = Pinned("a/b", site.address + "/gone", others=(site.address + "/data.bin",))
    assert provided(file, home, None).read_bytes() == CONTENT


def provided(file: Pinned, home: Home, mirror: Path | None) -> Path:
    come = fetch.provide([file], home=home, mirror=mirror)
    while True:
        try:
            next(come)
        except StopIteration as end:
            (path,) = end.value
            return path
