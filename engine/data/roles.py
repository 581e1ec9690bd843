"""What a table's columns are for: told by their names first, then by what is in them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.catalog import BadInput
from engine.data.archive import one_line, shown
from engine.data.labelled import NAMES as FILES
from engine.data.labelled import some, split_cell
from engine.data.options import Kind, Role
from engine.data.series import is_number

if TYPE_CHECKING:
    from engine.data.tables import Table

LOOKED_AT = 1000
"""Rows by whose cells a column is judged."""
CHARACTERS = 4_000_000
"""Of those rows, at most."""

TEXT = (
    "text", "sentence", "review", "content", "comment", "message", "tweet", "body", "document",
    "passage", "article", "utterance", "sms", "post", "question", "description", "abstract",
    "headline", "title", "sentence_text", "review_text", "comment_text", "texts", "sentences",
    "reviews", "comments", "messages", "phrase", "query", "prompt",
    "文本", "内容", "评论", "正文", "句子", "文章", "消息", "微博", "评价", "标题", "問題", "问题",
)  # fmt: skip
LABEL = (
    "label_text", "label_name", "class_name", "category_name", "label", "labels", "class",
    "category", "sentiment", "target", "classes", "categories", "polarity", "emotion", "intent",
    "topic", "genre", "stars", "rating", "score", "tag", "airline_sentiment", "y",
    "标签", "类别", "分类", "标注", "情感", "类型", "标记", "星级", "評分", "评分",
)  # fmt: skip
SPLIT = ("split", "subset", "partition", "set")
PAIRS = (
    ("source", "target"), ("src", "tgt"), ("src", "trg"), ("source_text", "target_text"),
    ("input", "output"), ("inputs", "targets"), ("input_text", "target_text"),
    ("document", "summary"), ("text", "summary"), ("article", "highlights"),
    ("article", "summary"), ("dialogue", "summary"), ("question", "answer"),
    ("questions", "answers"), ("prompt", "completion"), ("prompt", "response"),
    ("instruction", "output"), ("instruction", "response"), ("query", "response"),
    ("sentence1", "sentence2"), ("original", "translation"),
    ("原文", "译文"), ("源", "目标"), ("源语言", "目标语言"), ("问题", "答案"), ("问题", "回答"),
    ("文本", "摘要"), ("正文", "摘要"), ("输入", "输出"),
)  # fmt: skip
SOURCES = ("source", "src", "input")
TARGETS = ("target", "tgt", "trg", "output")
"""Words that name the two sides of pairs in the names of files."""
_CODES = (
    "aa ab af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da "
    "de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy "
    "hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg "
    "li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or "
    "os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta "
    "te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    "ara ben bul cat ces cze chi zho cmn dan deu ger ell eng est eus fas fin fra fre heb hin hrv "
    "hun ind isl ita jpn kor lat lit nld dut nor pol por ron rum rus slk slv spa srp swe tam tha "
    "tur ukr urd vie "
    "english german french spanish italian portuguese dutch russian chinese japanese korean arabic "
    "turkish polish czech swedish danish finnish greek hindi vietnamese ukrainian romanian "
    "英文 中文 英语 汉语 日语 日文 德语 德文 法语 法文 韩语 韩文 俄语 俄文 西班牙语"
)
LANGUAGES = frozenset(_CODES.split())
"""What columns and the endings of files are called after languages: ISO 639, and words."""
_OTHERS = (
    "id idx index uid guid user user_id userid author speaker name date time datetime timestamp "
    "created_at url link lang language source domain file filename path doc_id editor"
)
OTHERS = frozenset(_OTHERS.split())
"""Columns that say something of an item, and are never its class by themselves."""
SEQUENCE = ("sequence", "sequence_id", "seq", "series", "series_id", "case", "case_id")
STEP = ("step", "time", "t", "timestamp", "frame")
NAMES: Mapping[Kind, Mapping[Role, tuple[str, ...]]] = {
    "images": {role: FILES[role] for role in ("file", "label", "split")},
    "sound": FILES,
    "text": {"text": TEXT, "label": LABEL, "split": SPLIT},
    "pairs": {"split": SPLIT},  # the sides are found together, by `PAIRS`
    # Beside measured values neither “score” nor “y” is a class.
    "sequences": {
        "sequence": SEQUENCE, "step": STEP,
        "label": ("label", "class", "category", "target", "activity"), "split": SPLIT[:3],
    },
}  # fmt: skip
"""What columns are called, by what they are for, the surest first."""
USUAL = frozenset(
    itertools.chain(TEXT, LABEL, SPLIT, OTHERS, *PAIRS, ("sequence", "step", "en", "de", "fr"))
)
"""Names that columns often have."""


def plain(name: str) -> str:
    """A column's name as it is compared: ``Review Text`` → ``review_text``."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def is_language(name: str) -> bool:
    """``en``, ``pt-BR``, ``zho_Hans``, ``German``"""
    return plain(name).split("_")[0] in LANGUAGES


# The same few names come again and again.
_name = lru_cache(4096)(one_line)


def written(cell: Any, names: Sequence[str] = ()) -> str:
    """A cell as the name of a class or group: "" for nothing, and no decimals of whole numbers.

    `names` are what whole numbers stand for, where the table says so.
    """
    if isinstance(cell, str):
        return _name(cell) if len(cell) < 200 else one_line(cell)
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if names and isinstance(cell, int):
        # Hugging Face writes −1 where there is no label.
        return one_line(names[cell]) if 0 <= cell < len(names) else ""
    return one_line(str(cell))


class Columns:
    """A table's columns, and what the first of its rows hold."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = table.columns
        self.places = {name: place for place, name in enumerate(self.names)}
        self.numbers, self.cells = table.first(LOOKED_AT, CHARACTERS)

    def values(self, column: str) -> list[Any]:
        """A column's cells, without those that hold nothing."""
        place = self.places[column]
        return [row[place] for row in self.cells if row[place] not in (None, "")]

    def texts(self, column: str) -> list[str]:
        """A column's cells that are text and no number."""
        return [v for v in self.values(column) if isinstance(v, str) and not is_number(v)]

    def length(self, column: str) -> float:
        """The mean length of its texts; 0 where it holds mostly something else."""
        texts, values = self.texts(column), self.values(column)
        if not texts or len(texts) < len(values) / 2:
            return 0.0
        return sum(map(len, texts)) / len(texts)

    def named(self, names: Sequence[str], but: Sequence[str] = ()) -> str | None:
        """The column that is called like the first of those names that one has."""
        return named(self.names, names, but)


def named(columns: Sequence[str], names: Sequence[str], but: Sequence[str] = ()) -> str | None:
    """The column that is called like the first of those names that one has."""
    called = {plain(column): column for column in reversed(columns) if column not in but}
    return next((called[name] for name in names if name in called), None)


def chosen(
    columns: Sequence[str], asked: Mapping[Role, str], roles: Iterable[Role], table: str
) -> dict[Role, str]:
    """What a person chose of those roles; BadInput where the table has no such column."""
    found: dict[Role, str] = {}
    for role in roles:
        if name := asked.get(role):
            if name not in columns:
                raise BadInput(
                    f"{table} has no column {shown(name)}. It has {some(columns)}: choose one of "
                    "those",
                    field="columns",
                )
            found[role] = name
    return found


def find(
    columns: Sequence[str],
    asked: Mapping[Role, str],
    names: Mapping[Role, Sequence[str]],
    table: str,
) -> dict[Role, str]:
    """Which column of a table is for what: as was asked ("" is none), else by its name.

    Roles are found in the order of `names` (one of `NAMES`), and no column is for two of them.
    BadInput where the table has no column that was asked for.
    """
    found = chosen(columns, asked, names, table)
    for role, known in names.items():
        if role not in asked and (column := named(columns, known, list(found.values()))):
            found[role] = column
    return {role: found[role] for role in names if role in found}


def text_roles(columns: Columns, asked: Mapping[Role, str]) -> dict[Role, str]:
    """The columns of text, label and split, where there are such. BadInput if there is no text."""
    roles = chosen(columns.names, asked, ("text", "label", "split"), columns.table.name)
    taken = list(roles.values())
    if "text" not in roles:
        named = columns.named(TEXT, taken)
        # A column “title” beside a column of longer texts that has any name isn't the text.
        longest = max(
            (name for name in columns.names if name not in taken),
            key=columns.length, default=None,
        )  # fmt: skip
        best = named if named and columns.length(named) else longest
        if best is None or not (columns.length(best) or (named and not columns.cells)):
            raise BadInput(
                f"{columns.table.name} has no column of text. It has {some(columns.names)}: "
                "choose the column, or add one named text",
                field="columns",
            )
        roles["text"] = best
        taken.append(best)
    if "split" not in roles and "split" not in asked:
        name = columns.named(SPLIT, taken)
        if name and _are_splits(columns.values(name)):
            roles["split"] = name
            taken.append(name)
    if "label" not in roles and "label" not in asked:
        label = columns.named(LABEL, taken) or _few_values(columns, taken)
        if label:
            roles["label"] = label
    return {role: roles[role] for role in ("text", "label", "split") if role in roles}


def _are_splits(values: Sequence[Any]) -> bool:
    return bool(values) and all(map(split_cell, values))


def _few_values(columns: Columns, taken: Sequence[str]) -> str | None:
    """The column with the fewest different values that come again and again."""
    best, fewest = None, 0
    for name in columns.names:
        values = columns.values(name)
        if name in taken or plain(name) in OTHERS or len(values) < 4:
            continue
        if not all(isinstance(value, str | int | bool) for value in values):
            continue
        different = {written(value) for value in values}
        if max(map(len, different)) > 50 or not 2 <= len(different) <= min(50, len(values) // 2):
            continue
        if best is None or len(different) < fewest:
            best, fewest = name, len(different)
    return best


def pair_roles(columns: Columns, asked: Mapping[Role, str]) -> dict[Role, str] | None:
    """The columns of source and target; None where nothing tells them."""
    roles = chosen(columns.names, asked, ("source", "target", "split"), columns.table.name)
    if "split" not in asked:
        name = columns.named(SPLIT, list(roles.values()))
        if name and _are_splits(columns.values(name)):
            roles["split"] = name
    if "source" not in roles or "target" not in roles:
        found = _pair(columns)
        if found is None:
            return None
        source, target = found
        if "source" in roles:  # one was chosen: the other is the other of the pair
            roles["target"] = target if roles["source"] != target else source
        elif "target" in roles:
            roles["source"] = source if roles["target"] != source else target
        else:
            roles["source"], roles["target"] = source, target
    return {role: roles[role] for role in ("source", "target", "split") if role in roles}


def _pair(columns: Columns) -> tuple[str, str] | None:
    for source, target in PAIRS:
        one, other = columns.named([source]), columns.named([target])
        if one and other and _is_text(columns, one) and _is_text(columns, other):
            return one, other
    languages = [n for n in columns.names if is_language(n) and _is_text(columns, n)]
    return (languages[0], languages[1]) if len(languages) == 2 else None


def _is_text(columns: Columns, name: str) -> bool:
    return not columns.cells or columns.length(name) > 0


def looks_paired(columns: Columns) -> bool:
    """Whether a table holds pairs rather than labelled texts."""
    found = _pair(columns)
    if found is None:
        return False
    label = columns.named([*LABEL], found)
    if label is None:
        return True
    # Two sentences and a label are a text with a label; columns named after the two sides of a
    # pair, or after languages, are pairs whatever stands beside them.
    sides = {plain(name) for name in found}
    return all(map(is_language, found)) or bool(sides & {*SOURCES, *TARGETS})
