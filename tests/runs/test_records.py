"""Rows survive the round trip bit for bit, in JSON that every parser reads; tables and summaries by arithmetic."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax.runs import records
from hindsight_jax.runs import summary as run_summary


def row(member=0, env_steps=100, success_end=0.5, **extra):
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
    line = records.encode(row(diagnostic=value))
    strict(line)
    back = records.decode(line)["diagnostic"]
    assert repr(back) == repr(value)


def test_float32_survives_bit_for_bit():
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    back = [records.decode(records.encode(row(x=value)))["x"] for value in values]
    np.testing.assert_array_equal(np.array(back, np.float32).view(np.int32), values.view(np.int32))


def test_array_scalars_are_numbers():
    given = row(q_mean=jnp.float32(-1.5), loss=np.float64(np.nan), count=np.int64(3))
    line = strict(records.encode({**given, "member": np.int32(1), "env_steps": jnp.int32(64)}))
    assert (line["q_mean"], line["loss"], line["count"], line["member"], line["env_steps"]) == (-1.5, "NaN", 3, 1, 64)


def test_order_of_keys_does_not_depend_on_the_order_given():
    one = {"seconds_eval": 1.0, **row(), "zeta": 1.0, "alpha": 2.0}
    other = dict(reversed(one.items()))
    assert records.encode(one) == records.encode(other)
    assert list(json.loads(records.encode(one)))[-3:] == ["alpha", "zeta", "seconds_eval"]


@pytest.mark.parametrize("key", records.REQUIRED_KEYS)
def test_missing_keys_are_named(key):
    bad = row()
    del bad[key]
    with pytest.raises(ValueError, match=f"no {key}"):
        records.encode(bad)


@pytest.mark.parametrize("bad", ["high", None, [1.0, 2.0], np.zeros(3), {"a": 1}, 1j, object()])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        records.encode(row(diagnostic=bad))


@pytest.mark.parametrize("bad", [1.5, True, "3", math.nan])
def test_indices_must_be_whole(bad):
    with pytest.raises(ValueError, match="env_steps"):
        records.encode({**row(), "env_steps": bad})


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"member": 0}', '{"member": 0, "seed"'])
def test_lines_that_are_no_rows_are_refused(line):
    with pytest.raises(ValueError, match=r".+"):
        records.decode(line)


def test_table_keeps_the_evaluations_that_every_member_has():
    data = [row(1, 100, 0.3), row(0, 100, 0.1), row(0, 200, 0.2), row(1, 200, 0.4, q=2.0), row(0, 300, 0.9)]
    table = run_summary.table(data, "success_end")
    assert table.seeds == [7, 8]
    assert table.env_steps.tolist() == [100, 200]
    assert table.values.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    np.testing.assert_array_equal(run_summary.table(data, "q").values, [[np.nan, np.nan], [np.nan, 2.0]])
    assert run_summary.table([], "q").values.shape == (0, 0)


def test_diagnostics_are_neither_required_nor_the_clocks():
    assert run_summary.diagnostics([row(q_mean=1.0, seconds_eval=2.0), row(loss=1.0)]) == ["loss", "q_mean"]


def test_summary_by_arithmetic():
    data = [row(0, 100, 0.5), row(1, 100, 0.7), row(0, 200, 0.3), row(1, 200, 0.5), row(0, 300, 1.0)]
    summary = run_summary.summarise(data)
    # the last evaluation that both have is at 200: mean 0.4, s = 0.1 sqrt(2), t_1(0.975) = 12.7062, half 1.27062
    assert summary["env_steps"] == 200
    assert summary["updates"] == 100
    assert summary["num_evaluations"] == 2
    assert summary["success_end"]["per_seed"] == [0.3, 0.5]
    np.testing.assert_allclose(
        [summary["success_end"][key] for key in ("mean", "low", "high")], [0.4, -0.87062, 1.67062], atol=1e-5
    )
    assert summary["success_any"]["per_seed"] == [0.55, 0.75]
    assert summary["best"]["env_steps"] == 100
    np.testing.assert_allclose(summary["best"]["success_end"]["mean"], 0.6)
    assert summary["failed_seeds"] == []


def test_summary_of_one_seed_has_no_interval():
    spread = run_summary.summarise([row(0, 100, 0.5)])["success_end"]
    assert spread["mean"] == 0.5
    assert math.isnan(spread["low"])
    assert math.isnan(spread["high"])


def test_summary_names_a_nan_seed_and_keeps_the_best_before_it():
    data = [row(0, 100, 0.5), row(1, 100, 0.7), row(0, 200, 0.3), row(1, 200, math.nan)]
    summary = run_summary.summarise(data)
    assert summary["failed_seeds"] == [8]
    assert math.isnan(summary["success_end"]["mean"])
    assert summary["best"]["env_steps"] == 100


def test_summary_of_no_rows():
    summary = run_summary.summarise([])
    assert summary["success_end"] is None
    assert summary["num_evaluations"] == 0
