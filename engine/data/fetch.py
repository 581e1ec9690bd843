"""Files from the network: streamed, resumed, checked, and renamed into place when they are whole.

==================  ==================================================================
beside the file     content
==================  ==================================================================
NAME.part           what has come so far
NAME.part.json      `_Mark`: of which file, so that one that has changed starts over
NAME.lock           held by the process that downloads it
NAME.state          `_Mark` of a whole file without a hash, by which a newer one is noticed
==================  ==================================================================
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ipaddress
import os
import re
import shutil
import socket
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import httpx
from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.catalog import BadInput, Frozen
from engine.data.archive import require_space, shown
from engine.data.crew import WAIT, Pace
from engine.data.limits import LIMITS
from engine.data.options import ImportOptions, Kind, Step, step
from engine.home import Home, replacing, sync

if TYPE_CHECKING:
    from engine.data.imports import Reader

R = TypeVar("R")

TRIES = 4
"""Attempts in a row that bring nothing, before it is given up."""
PATIENCE = 20.0
"""Seconds without a byte, after which it is asked again."""
CONNECTING = 10.0
"""Seconds until there is a connection."""
STALLED = 60.0
"""Seconds without a new byte, over all attempts, after which it is given up."""
HOPS = 10
"""Redirects that are followed."""
PAUSE = 0.5
"""Seconds before the second attempt; each pause is twice the one before."""
MIRROR = "ANNEAL_MIRROR"
GONE, REFUSED = (404, 410), (401, 403)
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""What servers answer when they can't now."""


class Unavailable(BadInput):
    """The file can't be had from this address; another may have it."""


class Missing(Unavailable):
    """There is no such file at this address."""


class Changed(BadInput):
    """What came, or what lies there, isn't the file that was pinned."""


@dataclass(frozen=True)
class Pinned:
    """A file of a catalogue, and where it may come from."""

    place: str
    """``folder/file``: where it lies in a mirror, and in the home's downloads."""
    url: str
    size: int | None = None
    """Bytes; None where they aren't known."""
    sha256: str = ""
    """Or how it begins, where its publisher says no more."""
    md5: str = ""
    """Where its publisher gives no better hash."""
    others: tuple[str, ...] = ()
    """Addresses that have the same file."""

    @property
    def name(self) -> str:
        return self.place.rpartition("/")[2]

    @property
    def remedy(self) -> str:
        """What a person can do without a network, as words that follow “or”."""
        folder = self.place.rpartition("/")[0]
        return f"put {self.name} into {folder}/ in the folder named by ANNEAL_MIRROR"


@dataclass(frozen=True)
class Ready:
    """Files that lie on this computer now, and how they are to be imported."""

    sources: Sequence[Path]
    kind: Kind | None
    options: ImportOptions
    origin: str
    """The address that they came from."""
    licence: str = ""
    read: Reader | None = None
    """In place of the kind's own importer."""


def mirror() -> Path | None:
    """A folder of a person's own in which files are looked for before the network is asked."""
    named = os.environ.get(MIRROR)
    return Path(named) if named else None


def downloads(home: Home) -> Path:
    """The home's folder for what was downloaded; nothing in it is needed once it is imported."""
    return home.cache / "downloads"


# --- a catalogue's files --------------------------------------------------------------------


def provide(
    files: Sequence[Pinned],
    *,
    home: Home,
    mirror: Path | None,
    token: str = "",
    refused: str = "",
    listed: str = "",
) -> Generator[Step, None, list[Path]]:
    """Where the files lie, checked: in the mirror, else downloaded, once, into the home.

    `token` is shown to the files' own host only; `refused` says what to do where it refuses, and
    `listed` is the address that gave the files' own ones, where they are no catalogue's.
    """
    sizes = [file.size or 0 for file in files]
    known = all(sizes)
    shares = [size / sum(sizes) if known else 1 / len(files) for size in sizes]
    paths: list[Path] = []
    for number, file in enumerate(files):
        come = _provided(file, home, mirror, token, refused, listed)
        path = yield from scaled(come, sum(shares[:number]), sum(shares[: number + 1]))
        paths.append(path)
    return paths


def mirrored(files: Iterable[Pinned], mirror: Path | None) -> bool:
    """Whether the mirror has all of them. BadInput where it has something else in their place."""
    return mirror is not None and all(_lies(mirror / file.place) for file in files)


def _lies(path: Path) -> bool:
    if path.exists():
        check_file(path)
        return True
    return False


def check_file(path: Path) -> None:
    """BadInput when what lies in a mirror is no file, or nothing is in it.

    Whoever opens a pipe waits for its other end without end.
    """
    away = "or take it out of the folder named by ANNEAL_MIRROR"
    if not path.is_file():
        raise Changed(f"{path} is no file: put the file there, {away}")
    if not path.stat().st_size:
        raise Changed(f"{path} is empty: get it again, {away}")


def _provided(
    file: Pinned, home: Home, mirror: Path | None, token: str, refused: str, listed: str
) -> Generator[Step, None, Path]:
    if mirror is not None and mirrored([file], mirror):
        path = mirror / file.place
        if not (yield from _matches(path, file.size, file.sha256, file.md5)):
            raise Changed(
                f"{path} isn't the file of the catalogue ({_expected(file.sha256, file.md5)}): "
                f"get it again from {file.url}, or take it out of the folder named by ANNEAL_MIRROR"
            )
        return path
    to = downloads(home) / file.place
    urls = (file.url, *file.others)
    for url in urls:
        try:
            return (yield from fetch(
                url, to, size=file.size, sha256=file.sha256, md5=file.md5, token=token,
                remedy=file.remedy, refused=refused, listed=listed,
            ))  # fmt: skip
        except Unavailable:
            if url == urls[-1]:
                raise
    raise AssertionError("there is at least one address")


def discard(path: Path) -> None:
    """Remove a downloaded file, which isn't what it was taken for: the next time it comes anew."""
    for left in (path, path.with_name(path.name + ".state")):
        left.unlink(missing_ok=True)


def linked(source: Path, where: Path) -> Path:
    """The file under another name, without a second copy where that can be."""
    where.parent.mkdir(parents=True, exist_ok=True)
    try:
        where.symlink_to(source.resolve())
    except OSError:  # Windows lets few people make links
        shutil.copyfile(source, where)
    return where


def scaled(come: Generator[Step, None, R], low: float, high: float) -> Generator[Step, None, R]:
    """The same steps as the part from `low` to `high` of a longer way."""
    share = low
    with closing(come):
        while True:
            try:
                said = next(come)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            # A download that starts over doesn't take the whole way back.
            share = max(share, low + (high - low) * said.done / said.total)
            yield step(share, said.text)


# --- one file -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Order:
    """What is wanted, and what can be said where it can't be had."""

    url: str
    to: Path
    size: int | None
    sha256: str
    md5: str
    token: str
    remedy: str
    refused: str
    listed: str
    most: int | None

    @property
    def name(self) -> str:
        return self.to.name

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    @property
    def part(self) -> Path:
        return self.to.with_name(self.to.name + ".part")

    @property
    def state(self) -> Path:
        return self.to.with_name(self.to.name + ".state")

    @property
    def pinned(self) -> bool:
        return bool(self.sha256 or self.md5)

    def headers(self) -> dict[str, str]:
        """What every request for it says."""
        asked = {"accept-encoding": "identity"}
        return asked | ({"authorization": f"Bearer {self.token}"} if self.token else {})

    @property
    def instead(self) -> str:
        return f", or {self.remedy}" if self.remedy else ""


class _Busy(Exception):
    """The server can't answer now."""


class _Broken(Exception):
    """Another part came than was asked for, or not all of it: asking again may help."""


def fetch(
    url: str,
    to: Path,
    *,
    size: int | None = None,
    sha256: str = "",
    md5: str = "",
    token: str = "",
    remedy: str = "",
    refused: str = "",
    listed: str = "",
    most: int | None = None,
) -> Generator[Step, None, Path]:
    """Download `url` to the file `to`, which is whole and checked when it is there.

    A break, a closed generator or a killed process leaves the part that has come, and the next
    call goes on from it. BadInput says what is wrong; `remedy` is what else could be done, as words
    that follow “or”, and `refused` what to do where the server wants to know who asks. No
    more than `most` bytes are taken. An address of the network that this computer is in is only
    asked where it was given as such: not when another one, `listed` or `url`, leads there.
    """
    if not _of_the_web(url):
        raise BadInput(f"{shown(url)} isn't an address that begins with https:// or http://")
    order = _Order(url, to, size, sha256, md5, token, remedy, refused, listed or url, most)
    to.parent.mkdir(parents=True, exist_ok=True)
    yield step(0, f"Looking for {order.name}")
    lock = FileLock(to.with_name(to.name + ".lock"), thread_local=False)
    yield from _locked(lock, order)
    try:
        if to.exists():
            fine = yield from _matches(to, size, sha256, md5)
            if fine and (order.pinned or _unchanged(order)):
                return to
            to.unlink()
        resumed = order.part.exists()
        yield from _download(order)
        fine = yield from _matches(order.part, size, sha256, md5)
        if not fine and resumed:  # it may be the old part that is wrong
            _forget(order.part)
            yield from _download(order)
            fine = yield from _matches(order.part, size, sha256, md5)
        if not fine:
            raise Changed(
                f"{order.name} from {order.host} isn't the file that was expected "
                f"({_expected(sha256, md5)}), and it was removed. It has changed at its source, or "
                f"something on the way has replaced it: try another network{order.instead}"
            )
        sync(order.part)
        order.part.replace(to)
        if not order.pinned:
            _mark_of(order.part).replace(order.state)
        _forget(order.part)
        return to
    except Changed:
        _forget(order.part)
        raise
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _forget(order.part)
        raise BadInput(
            f"The disk is full: make room for {to.parent} and download {order.name} again"
        ) from None
    finally:
        lock.release()


def _locked(lock: FileLock, order: _Order) -> Generator[Step, None, None]:
    while True:
        try:
            lock.acquire(timeout=WAIT)
        except Timeout:
            yield step(0, f"Waiting for another import that downloads {order.name}")
        else:
            return


def _download(order: _Order) -> Generator[Step, None, None]:
    """Bring the part to its full length, however often the connection breaks."""
    failures, longest, until = 0, _length(order.part), time.monotonic() + STALLED
    with _client() as client:
        while True:
            try:
                yield from _stream(client, order, until)
            except (httpx.TransportError, _Busy, _Broken) as problem:
                # What comes once more, from a server that can't go on, is nothing new.
                if (now := _length(order.part)) > longest:
                    waited = PATIENCE if isinstance(problem, httpx.ReadTimeout) else 0
                    failures, longest, until = 1, now, time.monotonic() + STALLED - waited
                else:
                    failures += 1
                if failures >= TRIES or time.monotonic() >= until:
                    raise _given_up(order, problem) from None
            except httpx.HTTPError as problem:
                raise Unavailable(f"{order.host} doesn't answer as expected ({problem})") from None
            else:
                return
            again = time.monotonic() + PAUSE * 2 ** (failures - 1)
            while time.monotonic() < again:
                share = _length(order.part) / order.size if order.size else 0
                yield step(share, f"No answer from {order.host}: trying again")
                time.sleep(min(WAIT, PAUSE))


def _client() -> httpx.Client:
    return httpx.Client(headers={"user-agent": "anneal"})


def _patience(until: float) -> httpx.Timeout:
    left = max(until - time.monotonic(), 0.05)
    return httpx.Timeout(min(PATIENCE, left), connect=min(CONNECTING, left))


def _stream(client: httpx.Client, order: _Order, until: float) -> Generator[Step, None, None]:
    """One connection: from where the part ends to the end of the file."""
    part, mark = order.part, _mark(_mark_of(order.part))
    have = _length(part)
    # Without a validator only a pinned hash can tell that the rest is the rest of this file.
    if mark is None or mark.url != order.url or not (mark.validator or order.pinned):
        _forget(part)
        mark, have = None, 0
    elif have and have == mark.total:
        return  # killed before it was renamed
    asked = order.headers()
    if have:
        asked["range"] = f"bytes={have}-"
    if have and mark is not None and mark.validator:
        asked["if-range"] = mark.validator
    with closing(_answer(client, order, asked, until)) as answer:
        packed = answer.headers.get("content-encoding", "")
        # A few hundred kB can unpack to gigabytes. Of a pinned file what comes is what is hashed:
        # some servers name the compression of an archive itself.
        if packed.lower() not in ("", "identity") and not order.pinned:
            raise Unavailable(
                f"{order.host} sends {order.name} compressed ({shown(packed)}), which it was asked "
                f"not to: try again later{order.instead}"
            )
        begin, total = _extent(answer, order, have)
        if begin == 0:
            _forget(part)
            mark = _Mark(url=order.url, validator=_validator(answer), total=total)
            with replacing(_mark_of(part)) as beside:
                beside.write_text(mark.model_dump_json(), encoding="utf-8")
        if total is not None:
            require_space(part.parent, total - begin)
        wanted = order.size or total
        done, pace = begin, Pace()
        with part.open("ab") as out:
            for piece in answer.iter_raw():
                done += len(piece)
                if order.most and max(done, wanted or 0) > order.most:
                    raise Changed(
                        f"{order.host} sends more than {order.most / 2**20:,.0f} MB for "
                        f"{order.name}, which can't be right: look at the address"
                    )
                if done > (wanted or LIMITS.extracted_bytes):
                    raise Changed(f"{order.name} from {order.host} doesn't end where it should")
                out.write(piece)
                if pace.due():
                    of = f" of {wanted / 2**20:,.1f}" if wanted else ""
                    text = f"Downloading {order.name}: {done / 2**20:,.1f}{of} MB"
                    yield step(done / wanted if wanted else 0, text)
        if wanted is not None and done < wanted:
            raise _Broken


def _unchanged(order: _Order) -> bool:
    """Whether a whole file is still the newest, as far as its server can be asked."""
    mark = _mark(order.state)
    if mark is None or mark.url != order.url:
        return False
    if not mark.validator:
        return True
    tag = mark.validator.startswith('"')
    asked = {**order.headers(), "if-none-match" if tag else "if-modified-since": mark.validator}
    with _client() as client:
        try:
            until = time.monotonic() + PATIENCE
            with closing(_answer(client, order, asked, until)) as answer:
                return answer.status_code == 304 or _validator(answer) == mark.validator
        except (httpx.HTTPError, _Busy, _Broken):
            return True  # without a network, what is here is the newest that can be had


def _answer(
    client: httpx.Client, order: _Order, headers: dict[str, str], until: float
) -> httpx.Response:
    """The answer after the redirects, its body still to come. BadInput if it can't be the file."""
    request = client.build_request("GET", order.url, headers=headers)
    given = httpx.URL(order.listed).host
    for _ in range(HOPS):
        host = request.url.host
        if host != given and inside(host) and not inside(given):
            raise Unavailable(
                f"{given} sends on to {shown(host)}, which is "
                f"in this computer's own network and isn't asked{order.instead}"
            )
        request.extensions["timeout"] = _patience(until).as_dict()
        answer = client.send(request, stream=True)
        following = answer.next_request  # without the token where it leads to another host
        if following is None:
            break
        answer.close()
        if not _of_the_web(str(following.url)) or (
            request.url.scheme == "https" and following.url.scheme == "http"
        ):
            raise Unavailable(
                f"{order.host} sends on to {shown(str(following.url))}, which isn't safe"
            )
        request = following
    else:
        raise Unavailable(f"{order.host} sends from one address to the next without end")
    if answer.status_code in (200, 206, 304):
        return answer
    answer.close()
    raise _refusal(answer.status_code, order)


def inside(host: str) -> bool:
    """Whether a host is this computer, or of a network that isn't the public one.

    A name that nothing is known of isn't: a proxy may know it.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    for *_, where in found:
        address = ipaddress.ip_address(str(where[0]).partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if not (mapped or address).is_global:
            return True
    return False


def _of_the_web(url: str) -> bool:
    try:
        read, parts = httpx.URL(url), urlsplit(url)
        return read.scheme in ("http", "https") and bool(read.host) and parts.port != 0
    except (httpx.InvalidURL, ValueError):  # a bracket, a port of a million, half of a character
        return False


def _refusal(code: int, order: _Order) -> Exception:
    if code == 416:  # the file is shorter now
        _forget(order.part)
        return _Broken()
    if code in PASSING:
        return _Busy(f"HTTP {code}")
    if code in REFUSED:
        how = order.refused or f"ask its owner{order.instead}"
        return Unavailable(
            f"{order.host} doesn't give {order.name} to everyone (HTTP {code}): {how}"
        )
    if code in GONE:
        return Missing(
            f"{order.host} has no {order.name} (HTTP {code}): look whether {order.url} is still "
            f"right{order.instead}"
        )
    return Unavailable(
        f"{order.host} doesn't give {order.name} (HTTP {code}): try again later{order.instead}"
    )


def _extent(answer: httpx.Response, order: _Order, have: int) -> tuple[int, int | None]:
    """Where the bytes that come begin (0 or where the part ends), and how many the file has."""
    begin, total = 0, None
    if answer.status_code == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("content-range", ""))
        if said is None or int(said[1]) not in (0, have):
            _forget(order.part)
            raise _Broken
        begin, total = int(said[1]), int(said[2])
    elif answer.headers.get("content-length", "").isdecimal():
        total = int(answer.headers["content-length"])
    if None not in (order.size, total) and order.size != total:
        raise Changed(
            f"{order.name} at {order.host} has {total:,} bytes instead of {order.size:,}: it has "
            f"changed at its source. Take another{order.instead}"
        )
    return begin, total


def _validator(answer: httpx.Response) -> str:
    """What tells this state of the file from another; empty if parts of it can't be asked for."""
    etag: str = answer.headers.get("etag", "")
    # RFC 9110, 13.1.5: a weak one must not be used in If-Range.
    return etag if etag and not etag.startswith("W/") else answer.headers.get("last-modified", "")


def _given_up(order: _Order, problem: Exception) -> Unavailable:
    if isinstance(problem, _Busy):
        return Unavailable(f"{order.host} is busy ({problem}): try again later{order.instead}")
    if isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Unavailable(
            f"There is no connection to {order.host}: connect this computer to the network"
            f"{order.instead} and try again ({problem or type(problem).__name__})"
        )
    return Unavailable(
        f"The connection to {order.host} breaks again and again: try again, and it goes on from "
        f"where it was{order.instead}"
    )


class _Mark(Frozen):
    """Which file it is that a part belongs to."""

    url: str
    validator: str
    """Its ETag, or when it was last changed; empty where the server says neither."""
    total: int | None


# --- what lies on the disk ------------------------------------------------------------------


def _matches(
    path: Path, size: int | None, sha256: str, md5: str
) -> Generator[Step, None, bool]:  # fmt: skip
    """Whether the file is the one that was pinned."""
    whole = path.stat().st_size
    if size is not None and whole != size:
        return False
    if not (sha256 or md5):
        return True
    digest = hashlib.sha256() if sha256 else hashlib.md5(usedforsecurity=False)
    done, pace = 0, Pace()
    with path.open("rb") as file:
        while block := file.read(4 * 2**20):
            digest.update(block)
            done += len(block)
            if pace.due():
                yield step(1, f"Checking {path.name}: {done / 2**20:,.0f} MB")
    return digest.hexdigest().startswith((sha256 or md5).lower())


def _expected(sha256: str, md5: str) -> str:
    if sha256:
        return f"SHA-256 {sha256}"
    return f"MD5 {md5}" if md5 else "its size"


def _mark_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _mark(path: Path) -> _Mark | None:
    try:
        return _Mark.model_validate_json(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _forget(part: Path) -> None:
    for path in (part, _mark_of(part)):
        path.unlink(missing_ok=True)


def _length(part: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return part.stat().st_size
    return 0
