"""How much XLA optimises while testing: most of the time would go into optimising code that runs once."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Compiles fast, to slow code."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


@contextlib.contextmanager
def optimised() -> Iterator[None]:
    """Inside of `quick`, compiles as users do; for functions that were not compiled before."""
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
