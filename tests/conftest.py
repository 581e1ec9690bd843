"""What holds for every test: where several run at once, each computes with one thread.

PyTorch takes a thread a core by itself; two processes that do so wait for each other at the end of
every operation.
"""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before anything loads PyTorch; programs inherit it
    os.environ.setdefault("OMP_NUM_THREADS", "1")
