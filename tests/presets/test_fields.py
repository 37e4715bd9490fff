"""Every field of every run: its default and its bounds are allowed, and nothing beyond them."""

import math

import pytest

from hindsight_jax import fields, presets
from hindsight_jax.presets import fields as run_fields


def test_defaults_and_bounds_are_allowed_and_nothing_beyond():
    for name, field in presets.all_fields().items():
        assert fields.checked(name, field, field.default) == field.default, name
        assert field.help, name
        if isinstance(field.default, (bool, str)):
            continue
        several = isinstance(field.default, tuple)
        for bound, away in ((field.low, -1), (field.high, 1)):
            value = (bound,) if several else bound
            assert fields.checked(name, field, value) == value
            if math.isfinite(bound):
                whole = several or isinstance(field.default, int)
                beyond = bound + away if whole else math.nextafter(bound, away * math.inf)
                with pytest.raises(ValueError, match=rf"^{name}: got .* must be"):
                    fields.checked(name, field, (beyond,) if several else beyond)


def test_only_gamma_hdm_may_be_infinite():
    numbers = {name: field for name, field in presets.all_fields().items() if isinstance(field.default, float)}
    assert [name for name, field in numbers.items() if field.high == math.inf] == ["agent.gamma_hdm"]


def test_the_fields_that_no_agent_declares_are_in_the_groups_that_read_them():
    groups = {
        "RUN": {"", "env", "evaluation", "checkpoint"},
        "RING": {"agent", "replay", "data", "relabel"},
        "REWARDS": {"relabel"},
    }
    for table, expected in groups.items():
        assert {field.rpartition(".")[0] for field in getattr(run_fields, table)} == expected
    assert set(run_fields.MEMBERS_OWN) <= set(run_fields.RING)
