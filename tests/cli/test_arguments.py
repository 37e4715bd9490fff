"""Every command line either gives the exact values that were written, or one message with its remedy."""

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from bad_arguments import BAD, PUSH
from hypothesis import given, settings
from hypothesis import strategies as st

from hindsight_jax import fields, presets
from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli import help, main
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import config_file, imports
from hindsight_jax.runs.workdir import WorkDir

ROOT = Path(__file__).parents[2]


def refused(argv):
    """The message, which is one line and short."""
    with pytest.raises(UsageError) as caught:
        cli_arguments.parse(argv)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 320
    assert message.endswith((".", "?"))
    return message


def parsed(*argv):
    """The values by dotted field."""
    return cli_arguments.parse([PUSH, *argv]).config


def test_at_least_sixty_command_lines_are_refused_here():
    assert len(BAD) >= 60


@pytest.mark.parametrize(("line", "got", "remedy"), BAD, ids=[case[0][:80] for case in BAD])
def test_bad_command_lines_name_what_was_got_and_the_remedy(line, got, remedy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(line.split(" ") if line else [])
    assert got in message
    assert remedy in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv", [[PUSH, ""], [PUSH, " "], [PUSH, "--config.seeds= 4 x"], [PUSH, "--config.seeds=\n"]])
def test_odd_arguments_are_refused(argv):
    refused(argv)


@pytest.mark.parametrize("odd", ["\x1b[31mred", "a\nb", "x" * 5000, "\udcff"])
def test_odd_text_is_shown_in_print_on_one_line(odd):
    for argv in ([f"--config={odd}"], [PUSH, odd], [PUSH, f"--config.{odd}=1"], [PUSH, f"--config.seeds={odd}"]):
        refused(argv)


@pytest.mark.parametrize(
    "line",
    [
        "--config=hdm_psh",
        "--config=her_ddpg_flip_bit",
        "--config=hem_flip_bit --config.agent.gamma_hdm=0.5",
        f"{PUSH} --config.env.actions=continuous",
        f"{PUSH} --config.seeds=0",
        f"{PUSH} stray",
        f"{PUSH} --resume",
    ],
)
def test_main_returns_2_and_says_why_on_stderr(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_program_exits_with_2_within_3_seconds_of_work_and_leaves_nothing(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "experiments.run", PUSH, "--config.agent.gama=1", "--workdir=made"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean --config.agent.gamma?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    # of the processor, not of the wall clock: other work may share the machine
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0


def test_importing_parses_nothing_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['x', '--nonsense', '--config=zzz']\n"
        "from hindsight_jax.cli import arguments, help, main\n"
        "arguments.parse(['--config=hdm_push']), help.list_text(), help.help_text()\n"
        "print([m for m in ('brax', 'mujoco', 'matplotlib', 'orbax', 'scipy', 'absl.app') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_name_parses_to_its_values():
    for name in presets.names():
        arguments = cli_arguments.parse(["--config", name, "--workdir", "some/where"])
        assert arguments.name == name
        assert arguments.config == presets.config(name)
        assert list(arguments.config) == list(presets.fields_of(name))
        assert (arguments.workdir, arguments.resume, arguments.list) == (Path("some/where"), False, None)


def test_the_size_of_a_task_is_its_horizon():
    arguments = cli_arguments.parse(["--config=hem_flip_bit", "--config.env.size=50"])
    values = arguments.config
    assert (values["env.size"], presets.horizon("hem_flip_bit", values)) == (50, 50)
    spec = presets.build("hem_flip_bit", values).env.spec
    assert (spec.horizon, spec.observation_shape) == (50, (50,))


def test_every_field_that_a_name_does_not_have_is_refused_with_its_own():
    for algorithm in presets.ALGORITHMS:  # with one task each: a field depends on the algorithm or on the task
        name = next(name for name in presets.names() if presets.split(name)[0] == algorithm)
        for field in presets.all_fields().keys() - presets.fields_of(name).keys():
            message = refused(
                [f"--config={name}", f"--config.{field}={fields.text(presets.all_fields()[field].default)}"]
            )
            assert message.startswith(f"--config.{field}: got ")
            assert message.endswith(", but this run has no use for it. Leave it out.")


@pytest.mark.parametrize(
    ("field", "written", "value"),
    [
        ("total_steps", "1_000_000", 1_000_000),
        ("total_steps", "1e6", 1_000_000),
        ("total_steps", "2.5e5", 250_000),
        ("total_steps", "+300000.0", 300_000),
        ("seed", "0", 0),
        ("seed", "-0", 0),
        ("seed", "2147483640", 2147483640),
        ("seeds", "4096", 4096),
        ("agent.learning_rate", "1e-4", 1e-4),
        ("agent.learning_rate", ".5", 0.5),
        ("agent.learning_rate", "1", 1.0),
        ("agent.learning_rate", "0", 0.0),
        ("agent.gamma", "0.1", 0.1),
        ("agent.gamma_hdm", "inf", math.inf),
        ("agent.gamma_hdm", "0.30000000000000004", 0.30000000000000004),
        ("agent.temperature", "0.5", 0.5),
        ("agent.layer_norm", "true", True),
        ("agent.layer_norm", "True", True),
        ("agent.layer_norm", "1", True),
        ("agent.bounded", "false", False),
        ("agent.bounded", "False", False),
        ("agent.bounded", "0", False),
        ("agent.hidden_sizes", "256,256", (256, 256)),
        ("agent.hidden_sizes", "(256, 128)", (256, 128)),
        ("agent.hidden_sizes", "[64]", (64,)),
        ("agent.hidden_sizes", "(64,)", (64,)),
        ("agent.hidden_sizes", "1_024", (1024,)),
        ("agent.backup", "max", "max"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_overrides_have_the_exact_value_and_type(field, written, value, apart):
    argv = [f"--config.{field}", written] if apart else [f"--config.{field}={written}"]
    got = parsed(*argv)[field]
    assert got == value
    assert type(got) is type(value)
    assert type(got) is type(presets.all_fields()[field].default)


def test_order_does_not_matter_and_equal_repetitions_are_one():
    argv = [PUSH, "--config.seeds=8", "--workdir=x", "--config.agent.gamma_hdm", "0.6", "--config.seeds", "8.0", PUSH]
    one, other = cli_arguments.parse(argv), cli_arguments.parse(argv[5:] + argv[:5])
    assert one == other
    assert one.config == presets.config("hdm_push") | {"seeds": 8, "agent.gamma_hdm": 0.6}


def test_two_calls_share_nothing():
    config_file.resolve("hdm_push")["agent.gamma"] = 0.5
    assert config_file.resolve("hdm_push") == presets.config("hdm_push")


def test_resolve_takes_typed_values_and_refuses_others():
    assert config_file.resolve("hdm_push", {"seeds": 2.0, "agent.gamma": 1})["seeds"] == 2
    for overrides in ({"seeds": "2"}, {"seeds": True}, {"agent.gamma": None}, {"agent.bounded": 1}, {"gamma": 0.5}):
        with pytest.raises(ValueError, match=next(iter(overrides))):
            config_file.resolve("hdm_push", overrides)
    with pytest.raises(ValueError, match="hdm_psh"):
        config_file.resolve("hdm_psh")


@pytest.mark.parametrize("line", ["-config=hdm_push -config.seeds=8", "-config hdm_push -config.seeds 8"])
def test_one_dash_does_as_well(line):
    assert cli_arguments.parse(line.split()).config == presets.config("hdm_push") | {"seeds": 8}


def test_switches_may_be_said_to_be_off():
    plain = cli_arguments.parse([PUSH])
    for argument in ("--noresume", "--resume=false", "--nohelp", "--noexplain", "--explain=0"):
        assert cli_arguments.parse([PUSH, argument]) == plain
    assert cli_arguments.parse([PUSH, "--explain=true"]).explain


def in_range(field):
    """Text and value of a field, in its range."""
    spec = presets.all_fields()[field]
    whole = st.integers(max(int(spec.low), -(2**40)) if math.isfinite(spec.low) else 0, int(min(spec.high, 2**40)))
    if spec.options:
        return st.sampled_from(spec.options).map(lambda x: (x, x))
    if isinstance(spec.default, bool):
        return st.sampled_from([("true", True), ("False", False), ("1", True), ("0", False)])
    if isinstance(spec.default, tuple):
        return st.lists(whole, min_size=1, max_size=4).map(lambda x: (",".join(map(str, x)), tuple(x)))
    if isinstance(spec.default, int):
        return whole.flatmap(lambda x: st.sampled_from([(str(x), x), (f"{x:_}", x), (f"{x}.0", x), (f"{x}e0", x)]))
    floats = st.floats(spec.low, spec.high, allow_nan=False)
    return floats.map(lambda x: (repr(x), x))


def lines_of(name):
    """A name, and up to four of its fields with a text and its value."""
    line = st.sampled_from(sorted(presets.fields_of(name))).flatmap(lambda f: st.tuples(st.just(f), in_range(f)))
    return st.tuples(st.just(name), st.lists(line, max_size=4, unique_by=lambda pair: pair[0]))


def attempt(argv):
    """(arguments, '') or (None, message)."""
    try:
        return cli_arguments.parse(argv), ""
    except UsageError as error:
        return None, str(error)


def same(one, other):
    """Equal to the bit, signed zeros included."""
    return repr(one) == repr(other)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(presets.names()).flatmap(lines_of))
def test_values_in_range_parse_exactly_or_break_a_rule_between_fields(case):
    name, lines = case
    argv = [f"--config={name}", *(f"--config.{field}={written}" for field, (written, _) in lines)]
    arguments, message = attempt(argv)
    if arguments is None:
        assert not any(fields.allowed(presets.all_fields()[field]) in message for field, _ in lines)
        assert "no use for it" not in message
        return
    expected = presets.config(name) | {field: value for field, (_, value) in lines}
    assert same(arguments.config, expected)
    text = json.dumps(config_file.to_json(arguments.config), allow_nan=False)
    back = config_file.from_json(name, json.loads(text))
    assert same(back, expected)


WRITTEN = st.text(max_size=12) | st.from_regex(r"[-+0-9._einfa,()]{1,8}")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(presets.names()), st.sampled_from(sorted(presets.all_fields())), WRITTEN)
def test_any_text_parses_to_a_value_in_range_or_is_refused(name, field, written):
    arguments, message = attempt([f"--config={name}", f"--config.{field}={written}"])
    if arguments is None:
        assert message.startswith(f"--config.{field}") or field in message or "total_steps" in message
        return
    assert field in presets.fields_of(name)
    spec, value = presets.all_fields()[field], arguments.config[field]
    assert type(value) is type(spec.default)
    if spec.options:
        assert value in spec.options
    else:
        entries = value if isinstance(value, tuple) else (value,)
        assert entries
        assert all(spec.low <= entry <= spec.high for entry in entries)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(max_size=20) | st.sampled_from([PUSH, "--list", "--config.", "--workdir", "--", "="]), max_size=4)
)
def test_any_command_line_parses_or_is_refused(argv):
    arguments, message = attempt(argv)
    assert message.isprintable()
    if arguments is None:
        return
    asks = arguments.list is not None or arguments.help
    assert asks or arguments.config.keys() == presets.fields_of("hdm_push").keys()


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


def resume(stored, *argv):
    return ["--resume", f"--workdir={stored}", *argv]


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
        assert actions == values.get("env.actions", "discrete")
        assert network == fields.text(values["agent.hidden_sizes"])
        assert expected == str(presets.EXPECTED.get(name, "-"))


@pytest.mark.parametrize("word", ["push", "hem"])
def test_the_list_of_a_task_or_an_algorithm_holds_its_names(word):
    lines = help.list_text(word).splitlines()
    assert [row[0] for row in rows_of(lines)] == [name for name in presets.names() if word in presets.split(name)]
    assert lines[0].startswith(f"{word}: ")
    assert any("to the letter" in line for line in lines)


def test_the_list_says_once_what_each_algorithm_and_each_task_is_and_how_to_see_more():
    text = help.list_text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(map(len, text.splitlines())) <= help.WIDTH
    assert len(lines) < 45  # a screen
    for name, row in (*presets.ALGORITHMS.items(), *presets.ENVIRONMENTS.items()):
        assert sum(line.startswith(f"{name} {row.help}") for line in lines) == 1
    assert any(line.endswith("hdm_push: 0.89 in 8 min") for line in lines)
    assert {"--list=push", "--help"} <= set(text.split())


@pytest.mark.parametrize("name", ["", "hdm_push", "hem_flip_bit", "reinforce_navigation_paper"])
def test_the_help_holds_the_fields_that_there_are_with_value_help_and_range(name):
    text = help.help_text(name)
    assert max(map(len, text.splitlines())) <= help.WIDTH
    whole = " ".join(text.split())
    known = presets.fields_of(name) if name else presets.all_fields()
    values = presets.config(name) if name else {field: spec.default for field, spec in known.items()}
    for field, spec in presets.all_fields().items():
        entry = f" {field} {fields.text(values[field])} {spec.help}; {fields.allowed(spec)}" if field in known else None
        assert entry in whole if entry else f" {field} " not in whole
    assert not name or f"{name}: {presets.describe(name)}." in whole
    assert ("Expect a success of 0.89 in 8 min (4 seeds on 2 CPU cores" in whole) == (name == "hdm_push")
    assert all(f" {part}" in whole for part in (*presets.ALGORITHMS, *presets.ENVIRONMENTS))
    assert "--list" in whole


@pytest.mark.parametrize(
    "argv",
    [["--list"], ["--help"], ["-h"], [PUSH, "--help"], ["--list", "--workdir=x"], ["--list=push"], ["--list=all"]],
)
def test_list_and_help_ask_for_text_alone(argv):
    arguments = cli_arguments.parse(argv)
    wanted = {"--list": "", "--list=push": "push", "--list=all": "all"}
    assert arguments.list == wanted.get(argv[0])
    assert arguments.help == (arguments.list is None)
    assert not arguments.config
    assert arguments.name == ("hdm_push" if PUSH in argv else "")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A folder with a user's module, which adds a field and an algorithm of that name."""
    name = "registers_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "from typing import Annotated\n"
        "from hindsight_jax import agents, fields, presets\n"
        "Mine = Annotated[float, fields.Allowed('a number of mine', 0.0, 1.0)]\n"
        "def mine(spec, *, distance, hparams=agents.QLearningHparams(), mine: Mine = 0.5):\n"
        "    return agents.q_learning(spec, distance=distance, hparams=hparams)\n"
        "presets.register_algorithm('mine', agent=mine, help='my own', reads_rewards=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = dict(presets.ALGORITHMS), dict(presets.AGENTS), dict(imports._imported)
    yield name
    for table, before in zip((presets.ALGORITHMS, presets.AGENTS, imports._imported), kept, strict=True):
        table.clear()
        table.update(before)
    sys.modules.pop(name, None)


def test_a_module_that_is_imported_brings_names_and_fields(module, tmp_path):
    assert cli_arguments.parse(["--import", module, "--import=json", "--list=mine"]).list == "mine"
    arguments = cli_arguments.parse([f"--import={module}", "--config=mine_push", "--config.agent.mine=0.25"])
    assert (arguments.name, arguments.config["agent.mine"]) == ("mine_push", 0.25)
    assert module in imports.imported()
    assert "my own" in help.list_text("mine")
    assert {module, "json"} <= set(imports.imported())


def test_a_resumed_run_imports_its_modules_again(module, tmp_path):
    made = cli_arguments.parse([f"--import={module}", "--config=mine_push"])
    run = WorkDir.create(tmp_path / "run")
    run.write_config(config_file.to_json(made.config), name=made.name)
    assert run.read_config()["imports"] == imports.imported()
    del presets.ALGORITHMS["mine"], sys.modules[module]
    assert cli_arguments.parse(resume(tmp_path / "run", "--config=mine_push")).name == "mine_push"


@pytest.mark.parametrize(
    ("source", "got"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("import no_such_thing", "No module named 'no_such_thing'")],
)
def test_a_module_that_fails_is_refused_with_its_own_error(tmp_path, monkeypatch, source, got):
    name = f"fails_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    message = refused([f"--import={name}", PUSH])
    assert got in message
    assert f'python -c "import {name}" shows where' in message
