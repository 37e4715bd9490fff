"""Names and their complete configurations: splitting, refusals with the reason, types, missing and needless fields."""

import numpy as np
import pytest
from named_runs import BRAX, EVERY_NAME, HDM_TASKS, HEM_TASKS, MISFITS, WITHOUT_PAPER

from hindsight_jax import presets

READERS = (presets.split, presets.config, presets.describe, presets.fields_of)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hdm_push", ("hdm", "push", False)),
        ("hdm_push_paper", ("hdm", "push", True)),
        ("her_push", ("her", "push", False)),
        ("her_01_push_paper", ("her_01", "push", True)),
        ("her_hbc_push", ("her_hbc", "push", False)),
        ("her_ddpg_dense_navigation_paper", ("her_ddpg_dense", "navigation", True)),
        ("hpg_grid_four_rooms", ("hpg", "grid_four_rooms", False)),
        ("hpg_baseline_flip_bit_paper", ("hpg_baseline", "flip_bit", True)),
    ],
)
def test_a_name_is_split_where_its_parts_meet(name, parts):
    assert presets.split(name) == parts


@pytest.mark.parametrize(
    "name", ["", "hdm", "push", "hdm_push_", "hdm_push_paper_paper", "HDM_push", "hdm-push", "_paper", "hem_two_rooms"]
)
def test_unknown_names_are_refused(name):
    for function in READERS:
        with pytest.raises(ValueError, match=rf"^name: got '{name}', but there is no such name\. .*--list=all\.$"):
            function(name)


def test_a_name_must_be_text():
    with pytest.raises(ValueError, match=r"^name: got 3, but it must be a string\. Take one of presets\.names\(\)\.$"):
        presets.split(3)


@pytest.mark.parametrize(("algorithm", "task"), MISFITS)
def test_pairs_that_do_not_fit_are_refused_with_the_reason(algorithm, task):
    needs, has = ("discrete", "continuous") if task in BRAX else ("continuous", "discrete")
    rule = f"{algorithm} needs {needs} actions and {task} has {has} ones"
    if task.endswith("_pixels"):
        rule = f"{algorithm} cannot learn from images"
    for name in (f"{algorithm}_{task}", f"{algorithm}_{task}_paper"):
        for function in (*READERS, lambda name: presets.build(name, {})):
            with pytest.raises(ValueError, match=rf"^name: got '{name}', but {rule}\. Take another"):
                function(name)


def test_a_pair_that_no_paper_has_has_no_schedule_of_a_paper():
    for name in map("_".join, WITHOUT_PAPER):
        with pytest.raises(ValueError, match=rf"^name: got '{name}_paper', but no paper has the pair.* Take {name}\.$"):
            presets.split(f"{name}_paper")


def test_each_name_has_a_line_of_help_of_its_own():
    lines = {name: presets.describe(name) for name in EVERY_NAME}
    assert len(set(lines.values())) == len(lines)
    for name, line in lines.items():
        algorithm, task, paper = presets.split(name)
        assert line.startswith(f"{presets.ENVIRONMENTS[task].help}: {presets.ALGORITHMS[algorithm].help}")
        assert ("released code" in line) == paper
        assert line.isprintable()


# Fields


def test_fields_stand_in_groups():
    groups = ["", "agent", "env", "replay", "data", "relabel", "evaluation", "checkpoint", ""]  # on_nan is the last
    for known in (presets.all_fields(), presets.fields_of("hdm_push"), presets.config("hdm_push")):
        found = [field.rpartition(".")[0] for field in known]
        expected = [group for group in groups if group != "data" or "data.file" in known]
        assert [group for group, before in zip(found, [None, *found], strict=False) if group != before] == expected
    assert list(presets.config("her_push")) == list(presets.fields_of("her_push"))


def test_all_fields_are_those_of_some_name():
    assert {field for name in EVERY_NAME for field in presets.candidates(name)} == set(presets.all_fields())


def test_population_fields_are_the_numbers_of_agents_and_of_the_goal_law():
    numbers = (
        "learning_rate", "gamma", "gamma_hdm", "beta", "epsilon", "target_rate", "target_period", "temperature",
        "imitation_weight", "noise", "action_l2", "progress", "target_noise", "target_noise_clip", "q_weight",
        "percentile_rate", "expectile", "advantage_scale", "target_entropy", "initial_temperature", "logsumexp_weight",
        "largest_ratio", "noise_ratio", "normaliser_weight",
    )  # fmt: skip
    numbers = {f"agent.{name}" for name in numbers}
    law = {"relabel.behaviour", "relabel.next_state", "relabel.discount", "relabel.preference"}
    assert set(presets.population_fields()) == numbers | law
    assert len(presets.population_fields()) == len(numbers | law)


def test_two_configs_share_nothing():
    presets.config("hdm_push")["agent.gamma"] = 0.0
    assert presets.config("hdm_push")["agent.gamma"] == 0.98


def test_complete_gives_every_value_its_type():
    """NumPy's numbers become Python's, ints floats and lists tuples; nothing is added or left out."""
    config = presets.config("hdm_push")
    same = config | {"seeds": np.int32(config["seeds"]), "agent.beta": 1, "agent.hidden_sizes": [256, 256]}
    assert repr(presets.complete("hdm_push", same)) == repr(config)


@pytest.mark.parametrize("name", ["hdm_push", "hem_flip_bit", "hpg_navigation"])
def test_a_missing_value_is_refused(name):
    for field in presets.config(name):
        config = presets.config(name)
        del config[field]
        with pytest.raises(ValueError, match=rf"^{field}: got nothing, but every field must have a value\. Start from"):
            presets.complete(name, config)


@pytest.mark.parametrize("name", ["hem_flip_bit", "hem_navigation", "her_ddpg_push", "hpg_grid_four_rooms"])
def test_every_field_that_a_run_has_no_use_for_is_refused_by_name(name):
    config = presets.config(name)
    for field, spec in presets.all_fields().items():
        if field not in config:
            why = (
                "it has no effect here: it needs .*"
                if field in presets.candidates(name)
                else "this run has no use for it"
            )
            with pytest.raises(ValueError, match=rf"^{field}: got .*, but {why}\. Leave it out\.$"):
                presets.complete(name, config | {field: spec.default})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agent.gama": 0.5}, r"^agent\.gama: .* no such field\. Did you mean agent\.gamma\? List the fields: "),
        ({3: 0.5}, r"^3: got 0\.5, but there is no such field\. List"),
        ({"agent.bounded": "false"}, r"^agent\.bounded: got 'false', but it must be true or false"),
        ({"agent.gamma": 1.5}, r"^agent\.gamma: got 1\.5, but it must be a number in \[0, 1\]\. It is: discount"),
        ({"total_steps": 10_000}, r"^total_steps: .* the warm-up takes 10000 steps"),
        ({"agent.backup": "mellow", "agent.temperature": 0.2}, r"^agent\.backup: .*agent\.hindsight_bound"),
        (None, r"^config: got None, but it must map every field to a value"),
    ],
)
def test_values_that_make_no_run_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        presets.complete("hdm_push", change and presets.config("hdm_push") | change)


def test_only_complete_and_check_ask_whether_values_fit_each_other():
    config = presets.config("hdm_push", {"total_steps": np.int64(10_000)})
    assert config == presets.config("hdm_push") | {"total_steps": 10_000}
    with pytest.raises(ValueError, match=r"^total_steps: .* the warm-up takes 10000 steps"):
        presets.check("hdm_push", config)


def test_a_change_brings_fields_into_effect_and_takes_others_out():
    soft = presets.config("her_push", {"agent.backup": "mellow", "agent.temperature": 0.5})
    assert soft["agent.temperature"] == 0.5
    assert presets.changed("her_push", soft, {"agent.gamma": 1}) == soft | {"agent.gamma": 1.0}
    assert presets.changed("her_push", soft, {"agent.backup": "double"}) == presets.config("her_push")
    continuous = presets.config("hem_push", {"env.actions": "continuous"})
    assert ("agent.noise" in continuous, "env.bins" in continuous) == (True, False)


# Steps and actions


def test_the_tasks_of_the_papers_have_their_own_horizons():
    """25 for as many bits, 50, 50 and 31; a horizon that is given wins."""
    horizons = dict.fromkeys((*HDM_TASKS, *HEM_TASKS), 50) | {"flip_bit": 25, "grid_four_rooms": 31}
    for task, expected in horizons.items():
        config = presets.config(f"hem_{task}")
        assert presets.horizon(f"hem_{task}", config) == expected
        assert presets.horizon(f"hem_{task}", config | {"env.horizon": 7}) == 7
    assert presets.horizon("hem_flip_bit", presets.config("hem_flip_bit") | {"env.size": 3}) == 3


@pytest.mark.parametrize(
    ("algorithm", "task", "actions", "needs"),
    [("her_sql", "push", "continuous", "discrete"), ("her_ddpg_dense", "navigation", "discrete", "continuous")],
)
def test_actions_that_an_algorithm_cannot_use_are_refused_with_the_reason(algorithm, task, actions, needs):
    name = f"{algorithm}_{task}"
    message = rf"^env\.actions: got {actions}, but {algorithm} needs {needs} actions\. Use {needs}, or another alg"
    with pytest.raises(ValueError, match=message):
        presets.check(name, presets.config(name, {"env.actions": actions}))
