"""Global settings of JAX that must change nothing of ours: 64 bits, no promotion of dtypes, another generator."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def settings() -> Iterator[None]:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.default_prng_impl("rbg"):
        yield
