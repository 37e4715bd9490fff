"""The results that --list shows are those that a run of the default values measured."""

import json
import statistics
from pathlib import Path

import pytest

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file

RESULTS = Path(__file__).parents[2] / "experiments/results"
FREE = ("seed", "checkpoint.", "evaluation.", "on_nan")  # `seed` covers `seeds`


def flat(nested, prefix=""):
    """{"agent": {"gamma": 1}} -> {"agent.gamma": 1}."""
    found = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def measured(name, source):
    """(success, minutes, seeds, cores) of every finished run of the name's default values in a file."""
    wanted = {field: value for field, value in presets.config(name).items() if not field.startswith(FREE)}
    for run in json.loads((RESULTS / source).read_text()).values():
        stored = config_file.ADDED | flat(run["values"])
        same = all(stored.get(field) == fields.to_json(value) for field, value in wanted.items())
        if run["name"] == name and same and run["env_steps"][-1] >= wanted["total_steps"]:
            success = statistics.fmean(curve[-1] for curve in run["success_end"])
            yield round(success, 3), round(run["seconds"][-1] / 60, 1), len(run["seeds"]), run["device"]["cpu_cores"]


@pytest.mark.parametrize("name", presets.EXPECTED)
def test_an_entry_is_a_run_of_the_default_values(name):
    entry = presets.EXPECTED[name]
    assert (entry.success, entry.minutes, entry.seeds, entry.cores) in list(measured(name, entry.source))


def test_the_check_sees_another_number_and_another_config(monkeypatch):
    assert (0.9, 8.0, 4, 2) not in list(measured("hdm_push", "push.json"))
    monkeypatch.setitem(presets.SCHEDULES["push"], "agent.learning_rate", 0.5)
    assert list(measured("hdm_push", "push.json")) == []
