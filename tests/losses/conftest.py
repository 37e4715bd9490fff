"""Losses are tested under strict dtype promotion: no literal of theirs may decide a precision."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _strict_dtypes():
    with jax.numpy_dtype_promotion("strict"):
        yield
