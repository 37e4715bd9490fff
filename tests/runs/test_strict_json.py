"""Numbers of records survive the round trip bit for bit, in JSON that every parser reads."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from one_record import record

from hindsight_jax.runs import records


def strict(text):
    """Parses as a strict parser does: the bare words NaN and Infinity, which Python takes, are refused."""

    def refuse(word):
        raise AssertionError(f"not JSON: {word}")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.1, 1e-308, -0.0, 2**53 + 1, True])
def test_every_number_survives(value):
    line = records.encode(record(diagnostic=value))
    strict(line)
    back = records.decode(line)["diagnostic"]
    assert repr(back) == repr(value)


def test_float32_survives_bit_for_bit():
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    back = [records.decode(records.encode(record(x=value)))["x"] for value in values]
    np.testing.assert_array_equal(np.array(back, np.float32).view(np.int32), values.view(np.int32))


def test_array_scalars_are_numbers():
    given = record(q_mean=jnp.float32(-1.5), loss=np.float64(np.nan), count=np.int64(3))
    line = strict(records.encode({**given, "member": np.int32(1), "env_steps": jnp.int32(64)}))
    assert (line["q_mean"], line["loss"], line["count"], line["member"], line["env_steps"]) == (-1.5, "NaN", 3, 1, 64)
