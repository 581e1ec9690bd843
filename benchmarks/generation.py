"""How well digits are drawn that never were."""

from __future__ import annotations

from benchmarks import Options, Result
from benchmarks.training import trained


def variational_mnist(options: Options) -> Result:
    """The variational autoencoder's defaults on 5,000 MNIST digits, their pixels drawn black or
    white: test negative ELBO in nats a picture."""
    return trained("test/negative_elbo", "--model", "VariationalAutoencoder",
                   "--set", "task.binary=true", reach=115, larger=False)  # fmt: skip


def dcgan_mnist(options: Options) -> Result:
    """DCGAN's defaults on 5,000 MNIST digits: test Fréchet distance in the eyes of a network of
    chance; one normal distribution of pictures reaches 0.056."""
    return trained("test/frechet", "--model", "DCGAN", reach=0.045, larger=False)
