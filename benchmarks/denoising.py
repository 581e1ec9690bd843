"""How well corrupted pictures are mended."""

from __future__ import annotations

from benchmarks import Options, Result
from benchmarks.training import trained


def denoising_mnist(options: Options) -> Result:
    """The convolutional autoencoder on 5,000 MNIST digits with Gaussian noise of deviation 0.4:
    test mean squared error, beside that of the corrupted pictures."""
    return trained(
        "test/mse", "--model", "ConvAutoencoder", "--set", "task.corruption=Gaussian noise",
        reach=0.0125, larger=False,
    )  # fmt: skip
