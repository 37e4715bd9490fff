"""Records survive the round trip bit for bit, in JSON that every parser reads."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax.runs import records


def record(member=0, env_steps=100, success_end=0.5, **extra):
    return {
        "member": member,
        "seed": member + 7,
        "env_steps": env_steps,
        "updates": env_steps // 2,
        "success_end": success_end,
        "success_any": success_end + 0.25,
        **extra,
    }


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


def test_order_of_keys_does_not_depend_on_the_order_given():
    one = {"seconds_eval": 1.0, **record(), "zeta": 1.0, "alpha": 2.0}
    other = dict(reversed(one.items()))
    assert records.encode(one) == records.encode(other)
    assert list(json.loads(records.encode(one)))[-3:] == ["alpha", "zeta", "seconds_eval"]


@pytest.mark.parametrize("key", records.REQUIRED_KEYS)
def test_missing_keys_are_named(key):
    bad = record()
    del bad[key]
    with pytest.raises(ValueError, match=f"no {key}"):
        records.encode(bad)


@pytest.mark.parametrize("bad", ["high", None, [1.0, 2.0], np.zeros(3), {"a": 1}, 1j, object()])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        records.encode(record(diagnostic=bad))


@pytest.mark.parametrize("bad", [1.5, True, "3", math.nan])
def test_indices_must_be_whole(bad):
    with pytest.raises(ValueError, match="env_steps"):
        records.encode({**record(), "env_steps": bad})


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"member": 0}', '{"member": 0, "seed"'])
def test_lines_that_are_no_records_are_refused(line):
    with pytest.raises(ValueError, match=r".+"):
        records.decode(line)
