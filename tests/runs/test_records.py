"""Records: the order of their keys, and what is refused."""

import json
import math

import numpy as np
import pytest
from one_record import record

from hindsight_jax.runs import records


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
