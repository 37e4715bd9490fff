"""config.json: values and grids, there and back to the bit; what a resumed run may change; damage refused by field."""

import json
import math

import numpy as np
import pytest
from bad_arguments import PUSH
from parsing import refused, resume, same

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


def test_two_calls_share_nothing():
    config_file.resolve("hdm_push")["agent.gamma"] = 0.5
    assert config_file.resolve("hdm_push") == presets.config("hdm_push")


def test_resolve_takes_typed_values_and_refuses_others():
    assert config_file.resolve("hdm_push", {"seeds": np.int64(2), "agent.gamma": 1})["seeds"] == 2
    for overrides in (
        {"seeds": "2"},
        {"seeds": 2.0},
        {"seeds": True},
        {"agent.gamma": None},
        {"agent.bounded": 1},
        {"gamma": 0.5},
    ):
        with pytest.raises(ValueError, match=next(iter(overrides))):
            config_file.resolve("hdm_push", overrides)
    with pytest.raises(ValueError, match="hdm_psh"):
        config_file.resolve("hdm_psh")


@pytest.fixture
def stored(tmp_path):
    """The directory of a run whose config.json is as `workdir` writes it."""
    made = config_file.resolve(
        "hdm_push", {"agent.gamma_hdm": math.inf, "agent.gamma": 0.1 + 0.2, "total_steps": 200_000}
    )
    document = {"format": 1, "name": "hdm_push", "config": config_file.to_json(made), "versions": {"jax": "0"}}
    (tmp_path / "config.json").write_text(json.dumps(document, allow_nan=False))
    return tmp_path


def test_load_gives_name_and_values_back_to_the_bit(stored):
    name, loaded, grid = config_file.load(stored / "config.json")
    assert grid == {}
    assert name == "hdm_push"
    expected = {"agent.gamma_hdm": math.inf, "agent.gamma": 0.30000000000000004, "total_steps": 200_000}
    assert same(loaded, presets.config("hdm_push") | expected)
    assert json.loads((stored / "config.json").read_text())["config"] == config_file.to_json(loaded)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        [PUSH],
        ["--config.total_steps=200000"],
        ["--config.total_steps=300_000"],
        ["--config.agent.gamma_hdm=inf", "--config.total_steps=1e6"],
        ["--config.checkpoint.seconds=5"],
    ],
)
def test_a_resumed_run_keeps_its_values_and_may_grow(stored, argv):
    arguments = cli_arguments.parse(resume(stored, *argv))
    assert (arguments.name, arguments.workdir, arguments.resume) == ("hdm_push", stored, True)
    before, after = config_file.load(stored / "config.json")[1], arguments.config
    assert {field for field in before if before[field] != after[field]} <= set(config_file.RESUMABLE)
    assert after["total_steps"] >= 200_000


@pytest.mark.parametrize(
    ("argument", "got", "rule"),
    [
        ("--config.total_steps=199999", "199999", "only grow"),
        ("--config.agent.gamma=0.3", "0.30000000000000004", "only total_steps"),
        ("--config.seeds=5", "seeds: got 5", "only total_steps"),
        ("--config.agent.hidden_sizes=64", "64", "only total_steps"),
        ("--config=her_push", "her_push", "Leave --config out"),
        ("--config=hdm_psh", "hdm_psh", "Did you mean"),
        ("--config.total_steps=2147483647", "2147483647", "fewer steps"),
        ("--config.agent.noise=0.5", "--config.agent.noise: got 0.5", "no use for it. Leave it out."),
        ("--config.env.size=2", "--config.env.size: got 2", "no use for it. Leave it out."),
    ],
)
def test_a_resumed_run_takes_no_other_values(stored, argument, got, rule):
    message = refused(resume(stored, argument)).replace(str(stored), "DIR")
    assert got in message
    assert rule in message


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"name": 3, "config": {}}', '{"name": "hdm_push"}', "\x00", "null"]
)
def test_a_damaged_config_is_refused(stored, text):
    (stored / "config.json").write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        cli_arguments.parse(resume(stored))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["config"]["agent"].pop("gamma"), r"agent\.gamma: got nothing, but it is missing"),
        (lambda d: d["config"].pop("replay"), r"replay\.capacity: got nothing"),
        (lambda d: d["config"]["agent"].update(gamma="high"), r"agent\.gamma: got 'high'"),
        (lambda d: d["config"]["agent"].update(gamma=math.nan), r"agent\.gamma: got nan"),
        (lambda d: d["config"]["agent"].update(gamma=True), r"agent\.gamma: got True"),
        (lambda d: d["config"]["agent"].update(gamma=None), r"agent\.gamma: got None"),
        (lambda d: d["config"]["agent"].update(gamma_hdm=10**400), r"agent\.gamma_hdm: got 1000"),
        (lambda d: d["config"]["agent"].update(hidden_sizes=[]), r"agent\.hidden_sizes: got \[\]"),
        (lambda d: d["config"]["agent"].update(zeta=1), r"agent\.zeta: .*no such field"),
        (lambda d: d["config"]["agent"].update(noise=0.5), r"agent\.noise: got 0\.5, but this run has no use for it"),
        (lambda d: d["config"].update(agent=3), r"agent\.learning_rate: got nothing"),
        (lambda d: d.update(name="her_ddpg_flip_bit"), "her_ddpg needs continuous actions"),
        (lambda d: d.update(name="hdm_psh"), "hdm_psh"),
        (lambda d: d.update(imports=3), "imports: got 3, but it must be a list"),
        (lambda d: d.update(imports=["no.such.module"]), r"import: got 'no\.such\.module', but it cannot be imported"),
    ],
)
def test_a_config_of_another_version_is_refused_by_field(stored, change, message):
    document = json.loads((stored / "config.json").read_text())
    change(document)
    (stored / "config.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=message):
        cli_arguments.parse(resume(stored))


def test_a_config_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        cli_arguments.parse(resume(tmp_path))
