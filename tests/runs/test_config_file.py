"""Grids as JSON: exact values, there and back."""

import json
import math

import pytest

from hindsight_jax import presets
from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import config_file

VALUES = presets.config("hdm_push")


def parse(text, **taken):
    return config_file.parse_grid("hdm_push", VALUES, text, taken)


def test_values_have_their_field_s_type_in_the_order_given():
    grid = parse('{"agent.beta": [1, 0.5], "agent.hidden_sizes": [[8, 8], [16]], "agent.backup": ["max", "double"]}')
    assert grid == {"agent.beta": (1.0, 0.5), "agent.hidden_sizes": ((8, 8), (16,)), "agent.backup": ("max", "double")}
    assert [type(value) for value in grid["agent.beta"]] == [float, float]
    assert list(grid) == ["agent.beta", "agent.hidden_sizes", "agent.backup"]


@pytest.mark.parametrize("written", ["Infinity", '"inf"', '"Infinity"'])
def test_infinity_may_be_text(written):
    assert parse(f'{{"agent.gamma_hdm": [0.5, {written}]}}') == {"agent.gamma_hdm": (0.5, math.inf)}


def test_what_is_stored_is_strict_json_and_comes_back_equal():
    grid = parse(
        '{"agent.gamma_hdm": [0.1, "inf"], "agent.hidden_sizes": [[8], [4, 4]], "agent.layer_norm": [true, false]}'
    )
    stored = json.loads(json.dumps(config_file.grid_to_json(grid), allow_nan=False))
    assert config_file.grid_from_json("hdm_push", VALUES, stored) == grid


def test_a_setting_whose_values_do_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"replay\.warmup: got 20000, but it must be at most replay\.capacity"):
        parse('{"replay.warmup": [20, 20000]}')


def test_the_command_line_takes_one_and_a_resumed_run_keeps_it(tmp_path):
    text = '{"agent.gamma_hdm": [0.3, 0.5]}'
    arguments = cli_arguments.parse(["--config=hdm_push", "--config.grid", text])
    assert arguments.grid == {"agent.gamma_hdm": (0.3, 0.5)}
    document = {
        "name": "hdm_push",
        "config": config_file.to_json(arguments.config),
        "grid": config_file.grid_to_json(arguments.grid),
    }
    (tmp_path / "config.json").write_text(json.dumps(document))
    again = ["--resume", f"--workdir={tmp_path}"]
    assert cli_arguments.parse(again).grid == arguments.grid
    assert cli_arguments.parse([*again, f"--config.grid={text}"]).grid == arguments.grid
    with pytest.raises(UsageError, match=r"--config\.grid: got another grid than the run to resume has: .*0\.3, 0\.5"):
        cli_arguments.parse([*again, '--config.grid={"agent.gamma_hdm": [0.3]}'])
    (tmp_path / "config.json").write_text(json.dumps(document | {"grid": {"agent.gamma_hdm": 3}}))
    with pytest.raises(UsageError, match="it must be a list of values"):
        cli_arguments.parse(again)


def test_programs_are_one_for_what_members_may_differ_in():
    grid = {"agent.gamma": (0.5, 0.9), "relabel.preference": (0.0, 0.5), "agent.batch_size": (8, 16)}
    own, shaping = presets.programs(grid)
    assert list(own) == ["agent.gamma"]
    assert list(shaping) == ["relabel.preference", "agent.batch_size"]
    assert presets.programs({"relabel.preference": (0.25, 0.5)}) == ({"relabel.preference": (0.25, 0.5)}, {})
