"""Which device trains, how much memory it has, and in which numerics it is fastest."""

from __future__ import annotations

import copy
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from torch import nn

from engine.catalog import BadInput, Device

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def devices() -> tuple[Device, ...]:
    """Every device that can train, the preferred one first: the GPU with most memory free."""
    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Device(
            id=f"cuda:{index}", name=torch.cuda.get_device_name(index), memory=total, free=free,
            bf16=torch.cuda.get_device_capability(index) >= (8, 0),
        ))  # fmt: skip
    found.sort(key=lambda device: -device.free)
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            about = torch.xpu.get_device_properties(index)
            found.append(Device(id=f"xpu:{index}", name=about.name, memory=about.total_memory,
                                free=about.total_memory, bf16=True))  # fmt: skip
    memory = psutil.virtual_memory()
    if torch.backends.mps.is_available():
        found.append(Device(id="mps", name="Apple GPU", memory=memory.total,
                            free=memory.available, bf16=False))  # fmt: skip
    found.append(Device(id="cpu", name=_cpu_name(), memory=memory.total, free=memory.available,
                        bf16=cpu_has_bf16()))  # fmt: skip
    return tuple(found)


def pick(wanted: str) -> torch.device:
    """The device of that id, or the preferred one for ``auto``. BadInput if it isn't here."""
    here = devices()
    if wanted == "auto":
        return torch.device(here[0].id)
    if wanted not in [device.id for device in here]:
        raise BadInput(f"There is no device {wanted!r} on this machine: choose “auto” or one of "
                       f"{', '.join(device.id for device in here)}", field="device")  # fmt: skip
    return torch.device(wanted)


def about(device: torch.device) -> Device:
    """That device's entry."""
    return next(d for d in devices() if torch.device(d.id) == device)


def use(device: torch.device) -> None:
    """Make it the current one of its kind: what isn't told a device goes there."""
    if device.type in ("cuda", "xpu"):
        getattr(torch, device.type).set_device(device)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The generators' states: of the CPU, and of the device where it is another."""
    states = {"cpu": torch.get_rng_state()}
    if device.type in ("cuda", "xpu"):
        states[device.type] = getattr(torch, device.type).get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_state(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    """As `random_state` told it; a run that was begun on another device has none for this one."""
    torch.set_rng_state(states["cpu"])
    if device.type in ("cuda", "xpu") and device.type in states:
        getattr(torch, device.type).set_rng_state(states[device.type], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether memory ran out: on a CPU and on MPS, PyTorch says so only in the text."""
    if isinstance(problem, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(problem).lower()
    return isinstance(problem, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def cpu_has_bf16() -> bool:
    """Without the instructions bfloat16 was up to 14 times slower than float32: ask first."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in asked)


def _cpu_name() -> str:
    cores = psutil.cpu_count(logical=True) or 1
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (line := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        name = line[1]
    return f"{name.strip()}, {cores} {'core' if cores == 1 else 'cores'}"


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: of the process on a CPU, of the device elsewhere."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).max_memory_reserved(device))
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if platform.system() == "Darwin" else peak * 1024)
    except ImportError:
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))


def memory_in_use(device: torch.device) -> int:
    """Bytes in use now: of the process on a CPU, of the device elsewhere."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def synchronize(device: torch.device) -> None:
    """Wait until everything asked of the device is done: for timing only."""
    if device.type in ("cuda", "xpu"):
        getattr(torch, device.type).synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


LONG_ENOUGH = 0.5
"""Seconds after which the fastest numerics are decided: a person waits for the first point."""

# --- numerics -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numerics:
    """How the arithmetic is done: part of a run's state, so that a resumed run does the same."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    threads: int = 1

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Matrix products in the chosen precision; losses and norms stay float32."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=DTYPES[self.precision])

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model on the device, in the chosen memory format."""
        model = model.to(device)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def asdict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}"
        return ", ".join([self.precision, *["channels last"] * self.channels_last, threads])


def choose_numerics(
    model: nn.Module,
    step: Callable[[nn.Module], torch.Tensor],
    device: torch.device,
    *,
    convolutional: bool,
    precision: str = "auto",
    threads: int | None = None,
) -> Numerics:
    """Time a few real steps of each candidate and keep the fastest that the hardware is made for.

    Candidates are the precisions that the device computes in hardware, unless one is given, and
    all threads against one fewer, unless a number is given: another program may have a core.
    `step` gives a loss for a model on the device; it is tried on copies, and the random state is
    left as it was. BadInput when the precision asked for isn't to be had.
    """
    offered = precisions(device)
    if precision != "auto":
        if precision not in offered:
            raise BadInput(f"{precision} isn't computed in hardware by this device: choose “auto” "
                           "or fp32", field="method.precision")  # fmt: skip
        offered = [precision]
    # fp16 needs its gradients scaled, which bf16 doesn't: the first two are enough to race.
    offered = offered[:2]
    counts = [threads] if threads else _thread_counts(device)
    candidates = [
        Numerics(precision=name, channels_last=convolutional, threads=count)  # type: ignore[arg-type]
        for name in offered for count in counts
    ]  # fmt: skip
    if len(candidates) == 1:
        return candidates[0]
    with _random_state_kept(device):
        times = _race(candidates, model, step, device)
    plain = min(candidates[: len(counts)], key=times.__getitem__)
    best = min(candidates, key=times.__getitem__)
    # Less precision must earn its place: not for a saving that is within the noise.
    return best if times[best] < 0.9 * times[plain] else plain


def _thread_counts(device: torch.device) -> list[int]:
    every = torch.get_num_threads()
    return sorted({every, max(every - 1, 1)}, reverse=True) if device.type == "cpu" else [every]


def precisions(device: torch.device) -> list[str]:
    """What the device computes in hardware, the plainest first."""
    if device.type == "cpu":
        return ["fp32", "bf16"] if cpu_has_bf16() else ["fp32"]
    if device.type == "cuda":
        return ["fp32", "bf16", "fp16"] if about(device).bf16 else ["fp32", "fp16"]
    if device.type == "xpu":
        return ["fp32", "bf16"]
    return ["fp32"]


def _race(
    candidates: list[Numerics],
    model: nn.Module,
    step: Callable[[nn.Module], torch.Tensor],
    device: torch.device,
    *,
    rounds: int = 4,
) -> dict[Numerics, float]:
    """Each candidate's fastest step in seconds. They take turns, so that a busy moment hits all."""
    tried = {c: c.place(copy.deepcopy(model), device) for c in candidates}
    fastest = dict.fromkeys(candidates, float("inf"))
    began = time.perf_counter()
    for turn in range(1 + rounds):
        for numerics, racer in tried.items():
            torch.set_num_threads(numerics.threads)
            synchronize(device)
            started = time.perf_counter()
            with numerics.autocast(device):
                loss = step(racer)
            loss.backward()  # type: ignore[no-untyped-call]
            synchronize(device)
            if turn:  # the first builds kernels
                fastest[numerics] = min(fastest[numerics], time.perf_counter() - started)
            racer.zero_grad(set_to_none=True)
        if turn > 1 and time.perf_counter() - began > LONG_ENOUGH:
            break
    torch.set_num_threads(candidates[0].threads)
    return fastest


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    kinds = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(kinds, device_type=device.type if kinds else "cuda"):
        yield
