"""The ring is tested under strict dtype promotion: no literal of it may decide a precision."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield
