"""What is tuned: the defaults differ from the papers' schedules in the listed fields alone."""

import pytest
from named_runs import EVERY_NAME, PAPER

from hindsight_jax import presets


def test_defaults_differ_from_the_papers_in_the_listed_fields_alone():
    for name in PAPER:
        algorithm, environment, _ = presets.split(name)
        paper, default = presets.config(name), presets.config(name.removesuffix("_paper"))
        entry, changes = presets.ALGORITHMS[algorithm], presets.TUNED.get(environment, {})
        shared = dict(presets.SCHEDULES[environment])
        if presets.AGENTS[entry.agent].batch == "trajectories":
            del shared["env.num_envs"]
        listed = (
            shared | presets.ANYWHERE.get(entry.agent, {}) | changes.get(entry.agent, {}) | changes.get(algorithm, {})
        )
        both = default.keys() & paper.keys()  # an option brings fields of its own into effect
        expected = {field: value for field, value in listed.items() if field not in entry.config and field in both}
        expected = {field: value for field, value in expected.items() if paper[field] != value}
        assert {field: default[field] for field in both if default[field] != paper[field]} == expected, name
        assert entry.config.items() <= default.items() & paper.items(), name


@pytest.mark.parametrize("environment", presets.TUNED)
def test_every_tuned_value_reaches_a_run(environment):
    """A misspelt algorithm, or a field that its runs do not have, would be dropped without a word."""
    for part, changes in presets.TUNED[environment].items():
        algorithms = [name for name, entry in presets.ALGORITHMS.items() if part in (name, entry.agent)]
        names = [f"{algorithm}_{environment}" for algorithm in algorithms if f"{algorithm}_{environment}" in EVERY_NAME]
        assert names, part
        for field, value in changes.items():
            assert any(presets.config(name).get(field) == value for name in names), (part, field)


BOUNDED = ("hdm", "hdm_progress", "her", "her_hbc", "hdm_ac", "hdm_v")


def test_the_hindsight_bound_is_off_where_it_does_not_hold():
    """It counts rewards of -1, values of a greedy policy, and what a trajectory reached by skill, not by luck."""
    on = [name for name in EVERY_NAME if presets.config(name).get("agent.hindsight_bound")]
    assert {name for name in on if name.endswith("push")} == {f"{row}_push" for row in BOUNDED}
    assert not any(presets.split(name)[0] in ("hdm_printed", "her_01", "her_sql") for name in on)
    assert not any(presets.split(name)[1] in ("grid_four_rooms", "lunar_lander") for name in on)


def test_changes_of_the_kind_of_agent_come_before_the_algorithms_own(monkeypatch):
    both = {"q_learning": {"agent.gamma": 0.5, "agent.epsilon": 0.75}, "her": {"agent.gamma": 0.25}}
    monkeypatch.setitem(presets.TUNED, "push", both)
    assert presets.tuned("her", "push") == [presets.SCHEDULES["push"], both["q_learning"], both["her"]]
    config = presets.config("her_push")
    assert (config["agent.gamma"], config["agent.epsilon"]) == (0.25, 0.75)
    assert presets.config("hdm_push")["agent.gamma"] == 0.5
    assert presets.config("her_push_paper")["agent.gamma"] == 0.98
