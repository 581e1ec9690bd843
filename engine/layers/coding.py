"""What models that squeeze pictures into a code have in common."""

from __future__ import annotations

from torch import Tensor, nn

from engine.models import Headed


class Coding(Headed):
    """Squeezes a picture into a code, and draws it again from that; with outputs it has a head
    over the code in place of the way back, so that what was learned without labels goes on to
    tell classes apart."""

    encoder: nn.Module
    decoder: nn.Module

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, code) of images (B, C, H, W) in 0…1."""
        return self.encoder(images)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor) -> Tensor:
        """Pixels (B, C, H, W) before the sigmoid."""
        return self.decoder(codes)  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        return self.encode(images)

    def answer(self, features: Tensor) -> Tensor:
        """(B, outputs) of codes; without outputs, pictures in 0…1."""
        return super().answer(features) if self.outputs else self.decode(features).sigmoid()
