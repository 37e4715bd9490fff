"""Every command line either gives the exact values that were written, or one message with its remedy."""

import json
import math
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from bad_arguments import BAD, PUSH
from hypothesis import given, settings
from hypothesis import strategies as st
from parsing import refused, same

from hindsight_jax import fields, presets
from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli import main
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import config_file

ROOT = Path(__file__).parents[2]


def test_at_least_sixty_command_lines_are_refused_here():
    assert len(BAD) >= 60


@pytest.mark.parametrize(("line", "got", "remedy"), BAD, ids=[case[0][:80] for case in BAD])
def test_bad_command_lines_name_what_was_got_and_the_remedy(line, got, remedy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(line.split(" ") if line else [])
    assert got in message
    assert remedy in message
    assert not list(tmp_path.iterdir())


def test_the_page_of_the_algorithms_shows_refusals_as_they_are():
    """Each line '$ hindsight-jax ARGUMENTS' there, with the error below it."""
    page = (Path(__file__).parents[2] / "docs/algorithms.md").read_text()
    shown = re.findall(r"^\$ hindsight-jax (.+)\nerror: (.+)$", page, re.MULTILINE)
    assert len(shown) >= 12
    assert {line: refused(shlex.split(line)) for line, _ in shown} == dict(shown)


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
            why = (
                "it has no effect here: it needs "
                if field in presets.candidates(name)
                else "this run has no use for it"
            )
            assert f", but {why}" in message
            assert message.endswith("Leave it out.")


def test_order_does_not_matter_and_equal_repetitions_are_one():
    argv = [PUSH, "--config.seeds=8", "--workdir=x", "--config.agent.gamma_hdm", "0.6", "--config.seeds", "8.0", PUSH]
    one, other = cli_arguments.parse(argv), cli_arguments.parse(argv[5:] + argv[:5])
    assert one == other
    assert one.config == presets.config("hdm_push") | {"seeds": 8, "agent.gamma_hdm": 0.6}


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
    expected = presets.config(name, {field: value for field, (_, value) in lines})
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
    assert field in presets.fields_of(name, arguments.config)
    spec, value = presets.all_fields()[field], arguments.config[field]
    assert type(value) is type(spec.default)
    if isinstance(value, str):
        assert value in (spec.options or (written,))
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
