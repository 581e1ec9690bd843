"""Does beforehand, in the spare worker, what would keep the first point waiting."""

from __future__ import annotations

import torch
from torch import nn

from engine import session
from engine.catalog import discover
from engine.home import Home
from engine.recipe import compose


def warm(home: Home) -> None:
    """Load the libraries, unpack the default dataset, and build the first kernels."""
    catalog = discover()
    recipe = compose(catalog, names={}, settings={})
    setup = session.make(recipe, home)
    images = torch.zeros(2, 1, 8, 8).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(1, 2, 3)
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            layer(images).float().sum().backward()
    torch.optim.AdamW(setup.model.parameters(), fused=True)
