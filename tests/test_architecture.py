"""The doors between the rooms are shut, and the light processes stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"gui", "engine", "storage"}

# What a room may import besides the standard library and itself.
FIELD = {
    "torch", "torchvision", "numpy", "PIL", "sklearn", "scipy", "mlxtend", "safetensors",
    "psutil", "platformdirs", "pydantic", "filelock", "pyarrow", "soundfile",
    "soxr", "httpx", "tokenizers", "sacrebleu", "jiwer", "rouge_score", "peft", "timm",
    "transformers", "huggingface_hub", "matplotlib", "captum", "optuna", "onnxruntime", "torchao",
}  # fmt: skip
OPEN = {
    "storage": {"sqlalchemy", "alembic"},
    "engine": FIELD,
    "gui": {"gradio", "plotly", "numpy", "tsdownsample", "starlette", "orjson",
            "engine.catalog", "engine.recipe", "engine.events", "engine.comparisons",
            "engine.ablations", "engine.searches"},
}  # fmt: skip
BARE = {"catalog", "recipe", "events", "comparisons", "ablations", "searches"}
"""Modules of the engine that every room reads: only the standard library and pydantic."""


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports when it runs, with its line: type checking opens no door."""
    tree = ast.parse(file.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: imports are absolute"
            module = node.module or ""
            names = (f"{module}.{alias.name}" for alias in node.names)
            whole = module in ROOMS  # ``from engine import device`` opens engine.device
            yield from ((name, node.lineno) for name in (names if whole else [module]))


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def allowed(module: str, doors: set[str]) -> bool:
    return any(module == door or module.startswith(door + ".") for door in doors)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_opens_only_its_own_doors(room: str) -> None:
    doors = OPEN[room] | {room} | set(sys.stdlib_module_names)
    shut = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in files(room)
        for module, line in imports(file)
        if not allowed(module, doors)
    ]
    assert not shut, "\n".join(shut)


def test_what_every_room_reads_needs_nothing_heavy() -> None:
    doors = {"pydantic", *(f"engine.{name}" for name in BARE)} | set(sys.stdlib_module_names)
    for name in BARE:
        for module, line in imports(ROOT / "engine" / f"{name}.py"):
            assert allowed(module, doors), f"engine/{name}.py:{line} imports {module}"


def test_no_file_is_called_utils() -> None:
    found = [p for room in ROOMS for p in files(room) if p.stem in ("utils", "helpers", "common")]
    assert not found


def loaded(code: str) -> set[str]:
    """The modules in memory after running the code in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_the_app_never_loads_pytorch() -> None:
    code = (
        "import app, gui.shell, engine.answers, engine.attendant, engine.data.imports\n"
        "import engine.intake, engine.jobs\n"
        "from importlib import import_module\n"
        "[import_module(f'gui.pages.{page.name}') for page in gui.shell.PAGES]"
    )
    modules = loaded(code)
    assert not {"torch", "optuna"} & modules
    assert "gradio" in modules


def test_a_worker_never_loads_the_pages() -> None:
    modules = loaded("import app, engine.worker, engine.warmup, engine.desk")
    assert "torch" in modules
    assert not {"gradio", "plotly", "gui", "starlette"} & modules


def test_what_can_be_chosen_is_known_before_what_it_needs_is_loaded() -> None:
    modules = loaded("from engine.catalog import discover; discover(); import engine.desk")
    late = {"torchvision", "torch._dynamo", "transformers", "timm", "peft", "torchao", "captum",
            "sklearn", "scipy", "pandas", "matplotlib", "nltk", "onnx"}  # fmt: skip
    assert not late & modules


def test_the_process_that_carries_searches_on_stays_light() -> None:
    modules = loaded("import app, engine.searcher")
    assert "optuna" in modules
    assert not {"torch", "gradio"} & modules


def test_an_import_process_stays_light() -> None:
    assert not {"torch", "gradio"} & loaded("import app, engine.intake")
