"""The texts of --list and --help hold every name and field, with its numbers."""

import pytest

from hindsight_jax import fields, presets
from hindsight_jax.cli import help


def rows_of(lines):
    """The cells of each name's line."""
    return [line.split(maxsplit=6) for line in lines if line.split() and line.split()[0] in presets.names()]


def test_the_whole_list_holds_every_name_with_its_numbers_in_aligned_columns():
    lines = help.list_text("all").splitlines()
    assert max(map(len, lines)) <= help.WIDTH
    assert [row[0] for row in rows_of(lines)] == list(presets.names())  # a line each
    last = ["expected", *(row[6] for row in rows_of(lines))]
    starts = {line.rindex(cell) for line, cell in zip(lines[1:], last, strict=False)}
    assert len(starts) == 1
    for name, actions, horizon, steps, ratio, network, expected in rows_of(lines):
        values = presets.config(name)
        assert (int(horizon), int(steps)) == (presets.horizon(name, values), values["total_steps"])
        per_step = values.get("agent.updates_per_epoch", 1) / values["env.num_envs"] / presets.horizon(name, values)
        assert float(ratio) == pytest.approx(per_step, rel=5e-3)
        assert actions == values.get("env.actions", presets.ENVIRONMENTS[presets.split(name)[1]].actions[0])
        assert network == fields.text(values["agent.hidden_sizes"])
        assert expected == str(presets.EXPECTED.get(name, "-"))


@pytest.mark.parametrize("word", ["push", "hem"])
def test_the_list_of_a_task_or_an_algorithm_holds_its_names(word):
    lines = help.list_text(word).splitlines()
    assert [row[0] for row in rows_of(lines)] == [name for name in presets.names() if word in presets.split(name)]
    assert lines[0].startswith(f"{word}: ")
    assert any("released code's" in line for line in lines)


def test_the_list_says_once_what_each_algorithm_and_each_task_is_and_how_to_see_more():
    text = help.list_text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(map(len, text.splitlines())) <= help.WIDTH
    entries = len(presets.ALGORITHMS) + len(presets.ENVIRONMENTS)
    assert len(lines) < entries + 13  # a line each, titles, and how to see more
    for name, row in (*presets.ALGORITHMS.items(), *presets.ENVIRONMENTS.items()):
        assert sum(line.startswith(f"{name} {row.help}") for line in lines) == 1
    best = "hdm_progress_push"  # by what was measured on push
    assert any(line.endswith(f" {best}: {presets.EXPECTED[best]}") for line in lines)
    assert {"--list=push", "--help"} <= set(text.split())


@pytest.mark.parametrize("name", ["", "hdm_push", "hem_flip_bit", "reinforce_navigation_paper"])
def test_the_help_holds_the_fields_that_there_are_with_value_help_and_range(name):
    text = help.help_text(name)
    assert max(map(len, text.splitlines())) <= help.WIDTH
    whole = " ".join(text.split())
    known = presets.fields_of(name) if name else presets.all_fields()
    values = presets.config(name) if name else {field: spec.default for field, spec in known.items()}
    for field, spec in presets.all_fields().items():
        written = lambda value: fields.text(value) or "''"
        entry = f" {field} {written(values[field])} {spec.help}; {fields.allowed(spec)}" if field in known else None
        assert entry in whole if entry else f" {field} " not in whole
    assert not name or f"{name}: {presets.describe(name)}." in whole
    expected = f"Expect a success of {presets.EXPECTED['hdm_push']} (4 seeds on 2 CPU cores"
    assert (expected in whole) == (name == "hdm_push")
    assert all(f" {part}" in whole for part in (*presets.ALGORITHMS, *presets.ENVIRONMENTS))
    assert "--list" in whole
