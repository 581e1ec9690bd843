"""The docstrings of Python's standard library: real English text on every machine."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.catalog import BadInput
from engine.data.arrays import Ragged
from engine.data.batches import Data
from engine.data.items import Pairs, Texts
from engine.datasets import SplitAtRandom, Tokenized, Writings
from engine.home import Home, replacing

SOURCE = f"Docstrings of the standard library of Python {platform.python_version()}"
LICENCE = "Python Software Foundation License"
_TOPICS = {
    "asynchrony": "asyncio concurrent multiprocessing queue sched selectors signal subprocess "
                  "threading",
    "files": "_pyio bz2 filecmp fileinput fnmatch genericpath glob gzip lzma ntpath os pathlib "
             "posixpath shutil stat tarfile tempfile zipfile",
    "mail": "email imaplib mailbox mailcap nntplib poplib smtpd smtplib",
    "numbers and time": "_pydatetime _pydecimal _strptime calendar colorsys datetime decimal "
                        "fractions numbers random statistics zoneinfo",
    "packages": "distutils ensurepip imp importlib modulefinder pkgutil runpy site sysconfig venv "
                "zipapp zipimport",
    "testing": "bdb cProfile cmd code codeop doctest logging pdb profile pstats timeit trace "
               "traceback tracemalloc unittest warnings",
    "text formats": "base64 codecs configparser csv difflib encodings gettext json locale "
                    "plistlib pprint quopri re sre_parse shlex string textwrap xml",
    "the language": "_collections_abc abc ast collections contextlib copy ctypes dataclasses dis "
                    "enum functools heapq inspect operator pickle pickletools pydoc symtable "
                    "tokenize types typing weakref",
    "the web": "cgi ftplib html http ipaddress socket socketserver ssl telnetlib urllib "
               "webbrowser wsgiref xmlrpc",
    "windows": "curses tkinter turtle turtledemo",
}  # fmt: skip
TOPICS = {name: topic for topic, names in _TOPICS.items() for name in names.split()}
"""What a module or package is about."""
SHORTEST = 20
"""Characters of a docstring; a shorter one tells nothing of its topic."""
FEWEST = 50
"""Docstrings of a class: a topic whose modules aren't installed has fewer, and is left out."""
_BESIDE = {"test", "tests", "idle_test", "__pycache__"}
_SENTENCE = re.compile(r"(.+?[.!?])(?:\s+(?=[A-Z`'\"(*])|$)", re.DOTALL)


class DocstringTopics(
    Writings, SplitAtRandom, label="Docstrings of Python, by topic",
    provides={"text", "label"}, rank=40, suggests={"data.vocabulary": 4000},
):  # fmt: skip
    """Some 6,000 descriptions in English from Python's own library, of ten topics such as mail."""

    source, licence = SOURCE, LICENCE

    def open(self, home: Home) -> Data:
        found = docstrings(home)
        topics = [topic for topic in _TOPICS if sum(t == topic for t, _ in found) >= FEWEST]
        kept = [(topic, text) for topic, text in found if topic in topics]
        labels = np.array([topics.index(topic) for topic, _ in kept], np.int64)
        texts = [text for _, text in kept]
        return Data(
            items=Texts(Ragged.of_texts(texts)), labels=labels, classes=tuple(topics),
            splits=self.split(labels), fingerprint="docstrings-" + digest(kept),
            source=self.source, licence=self.licence,
        )  # fmt: skip


class DocstringSummaries(
    Tokenized, SplitAtRandom, label="Docstrings of Python, to be summarized",
    provides={"pair", "target"}, rank=42,
    suggests={"task": "Summarization", "data.vocabulary": 4000},
):  # fmt: skip
    """Descriptions from Python's own library without their first sentence, which is to be written.

    The first sentence of a docstring says in one line what the rest explains (PEP 257).
    """

    source, licence = SOURCE, LICENCE

    def open(self, home: Home) -> Data:
        found = dict.fromkeys(pair for _, text in docstrings(home) if (pair := halves(text)))
        pairs = list(found)
        return Data(
            items=Pairs(Ragged.of_texts([rest for rest, _ in pairs]),
                        Ragged.of_texts([first for _, first in pairs])),
            labels=None, classes=(), splits=self.split(np.zeros(len(pairs), np.int64)),
            fingerprint="docstring-summaries-" + digest(pairs),
            source=self.source, licence=self.licence,
        )  # fmt: skip


def halves(text: str) -> tuple[str, str] | None:
    """What follows a docstring's first sentence, and that sentence; None where either isn't one."""
    paragraph, _, rest = text.partition("\n\n")
    said = _SENTENCE.match(" ".join(paragraph.split()))
    if said is None:
        return None
    first = said[1]
    after = " ".join(paragraph.split())[said.end() :].strip()
    rest = "\n\n".join(filter(None, (after, rest.strip())))
    if not 12 <= len(first) <= 200 or len(first.split()) < 3 or len(rest) < 80:
        return None
    return rest, first


def docstrings(home: Home) -> list[tuple[str, str]]:
    """(topic, docstring) of every module, class and function, each text once; read once, then kept.

    BadInput where Python came without its sources.
    """
    kept = home.cache / f"docstrings-{platform.python_version()}.json"
    if not kept.exists():
        found = list(_read(Path(sysconfig.get_path("stdlib"))))
        if not found:
            raise BadInput(
                "This Python came without the sources of its library: install Python from "
                "python.org or your system's packages, or choose other data", field="data",
            )  # fmt: skip
        with replacing(kept) as beside:
            beside.write_text(json.dumps(found), encoding="utf-8")
    return [(topic, text) for topic, text in json.loads(kept.read_text("utf-8"))]


def _read(root: Path) -> Iterator[tuple[str, str]]:
    """Nothing is imported: the files are parsed."""
    known: set[str] = set()
    for file in sorted(root.rglob("*.py")):
        inside = file.relative_to(root).parts
        topic = TOPICS.get(inside[0].removesuffix(".py"))
        if topic is None or _BESIDE & set(inside):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):  # of the library's own old escapes
                tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            text = inspect.cleandoc(ast.get_docstring(node) or "")
            if len(text) >= SHORTEST and text not in known:
                known.add(text)
                yield topic, text


def digest(content: Any) -> str:
    """Tells texts from others: another Python has others."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
