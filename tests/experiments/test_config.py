"""Every command line either gives the exact values that were written, or one message with its remedy."""

import doctest
import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import config, listing, run
from hindsight_jax import fields, presets

PUSH = "--config=hdm_push"
ROOT = Path(__file__).parents[2]

# arguments behind --config=hdm_push, what the message must name, and a part of the remedy
BAD_OVERRIDES = [
    # unknown fields
    ("--config.agent.gama_hdm=0.5", "agent.gama_hdm", "Did you mean --config.agent.gamma_hdm?"),
    ("--config.gamma_hdm=0.5", "--config.gamma_hdm", "Did you mean --config.agent.gamma_hdm?"),
    ("--config.agent.lr=1", "agent.lr", "--help"),
    ("--config.agent.LEARNING_RATE=1", "LEARNING_RATE", "--config.agent.learning_rate"),
    ("--config.seed s=3", "--config.seed", "integer"),
    ("--config.replay.size=3", "replay.size", "--help"),
    ("--config.replay.capcity=3", "replay.capcity", "--config.replay.capacity"),
    ("--config.=3", "--config.", "--help"),
    ("--config.agent.=3", "--config.agent.", "--help"),
    ("--config.agent=3", "--config.agent", "--config.agent.learning_rate"),
    ("--config.agent.gamma.x=3", "agent.gamma.x", "--help"),
    ("--config.name=her_push", "--config.name", "--help"),
    ("--config.__class__=3", "__class__", "--help"),
    # grids
    ("--config.grid", "--config.grid", "agent.gamma_hdm"),
    ("--config.grid=", "--config.grid", "agent.gamma_hdm"),
    ("--config.grid={", "no JSON", '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'),
    ("--config.grid=3", "an object of lists", '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'),
    ("--config.grid={}", "an object of lists", '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'),
    ('--config.grid={"agent.gama":[1]}', "agent.gama", "Did you mean agent.gamma"),
    ('--config.grid={"agent.gamma":1}', "it must be a list of values", "For example"),
    ('--config.grid={"agent.gamma":[]}', "it must be a list of values", "For example"),
    ('--config.grid={"agent.gamma":[0.5,0.5]}', "must not come twice", "Drop what repeats"),
    ('--config.grid={"agent.gamma":[NaN]}', "nan", "a number in [0, 1]"),
    ('--config.grid={"agent.gamma":[0.5],"agent.gamma":[0.6]}', "comes twice", "agent.gamma_hdm"),
    ('--config.grid={"agent.noise":[0.5]}', "no use for it", "Leave it out"),
    ('--config.grid={"seeds":[1,2]}', "every setting has the same seeds", "Leave it out"),
    ('--config.grid={"total_steps":[100000]}', "every evaluation", "Leave it out"),
    ('--config.agent.beta=2 --config.grid={"agent.beta":[1,2]}', "it is set to 2, too", "Set it in one place"),
    ("--config.grid=" + "[" * 100_000, "--config.grid", "agent.gamma_hdm"),
    # processes
    ("--distributed", "--workdir", "Add --workdir=DIR"),
    ("--workdir=x --coordinator=h:1", "--processes", "or --distributed alone"),
    ("--workdir=x --coordinator=h --processes=2 --process=0", "'h'", "HOST:PORT"),
    ("--workdir=x --coordinator=h:1 --processes=0 --process=0", "'0'", "an integer in [1, 4096]"),
    ("--workdir=x --coordinator=h:1 --processes=2 --process=2", "'2'", "an integer in [0, 1]"),
    ("--workdir=x --coordinator=h:1 --processes=two --process=2", "'two'", "an integer in [1, 4096]"),
    ("--explain=1", "--explain", "takes no value"),
    # integers
    ("--config.seeds=1.5", "'1.5'", "an integer in [1, 4096]"),
    ("--config.seeds=0", "seeds", "an integer in [1, 4096]"),
    ("--config.seeds=-4", "-4", "an integer in [1, 4096]"),
    ("--config.seeds -4", "-4", "an integer in [1, 4096]"),
    ("--config.seeds=4097", "4097", "an integer in [1, 4096]"),
    ("--config.seeds=true", "'true'", "an integer"),
    ("--config.seeds=nan", "'nan'", "an integer"),
    ("--config.seeds=inf", "'inf'", "an integer"),
    ("--config.seeds=four", "'four'", "an integer"),
    ("--config.seeds=0x4", "'0x4'", "an integer"),
    ("--config.seeds=4,", "'4,'", "an integer"),
    ("--config.seeds=1__0", "'1__0'", "an integer"),
    ("--config.seeds=\N{ARABIC-INDIC DIGIT FOUR}", "\N{ARABIC-INDIC DIGIT FOUR}", "an integer"),
    ("--config.seeds=", "''", "an integer"),
    ("--config.seeds", "--config.seeds", "--config.seeds=4"),
    ("--config.seeds --resume", "--config.seeds", "--config.seeds=4"),
    ("--config.seed=-1", "-1", "an integer in [0, 2147483647]"),
    ("--config.seed=2147483648", "2147483648", "an integer in [0, 2147483647]"),
    ("--config.seed=1e-400", "'1e-400'", "an integer"),
    ("--config.seed=1.0000000000000000000001", "'1.000", "an integer"),
    ("--config.seed=1e999999", "'1e999999'", "an integer"),
    ("--config.seed=" + "9" * 5000, "'999", "an integer"),
    ("--config.agent.target_period=2.5", "'2.5'", "an integer"),
    ("--config.evaluation.every=0", "evaluation.every", "an integer in [1,"),
    ("--config.evaluation.episodes=0", "evaluation.episodes", "an integer in [1,"),
    # floats
    ("--config.agent.learning_rate=nan", "'nan'", "a number in [0, 1]"),
    ("--config.agent.learning_rate=-nan", "'-nan'", "a number in [0, 1]"),
    ("--config.agent.learning_rate=inf", "inf", "a number in [0, 1]"),
    ("--config.agent.learning_rate=-1e-9", "-1e-09", "a number in [0, 1]"),
    ("--config.agent.learning_rate=1e-3x", "'1e-3x'", "a number in [0, 1]"),
    ("--config.agent.learning_rate=1/3", "'1/3'", "a number in [0, 1]"),
    ("--config.agent.learning_rate=1;e", "'1;e'", "a number in [0, 1]"),
    ("--config.agent.gamma=1.0000001", "1.0000001", "a number in [0, 1]"),
    ("--config.agent.gamma=1.5", "1.5", "discount"),
    ("--config.agent.gamma=True", "'True'", "a number"),
    ("--config.agent.gamma=0,9", "'0,9'", "a number"),
    ("--config.agent.gamma=.", "'.'", "a number"),
    ("--config.agent.gamma=e", "'e'", "a number"),
    ("--config.agent.gamma_hdm=-0.1", "-0.1", "a number in [0, inf]"),
    ("--config.agent.gamma_hdm=-inf", "-inf", "a number in [0, inf]"),
    ("--config.agent.gamma_hdm=1e999", "'1e999'", "a number in [0, inf]"),
    ("--config.agent.gamma_hdm=nan", "'nan'", "a number in [0, inf]"),
    ("--config.agent.beta=inf", "inf", "a number in"),
    ("--config.agent.temperature=0", "agent.temperature", "a number in [1e-06,"),
    ("--config.env.threshold=0", "env.threshold", "a number in"),
    ("--config.relabel.behaviour=1.1", "1.1", "share"),
    ("--config.relabel.next_state=-0.1", "-0.1", "share"),
    ("--config.relabel.preference=2", "2", "a number in [0, 1]"),
    ("--config.relabel.reward_otherwise=-inf", "-inf", "a number in"),
    ("--config.relabel.reward_reached=inf", "inf", "a number in"),
    ("--config.agent.epsilon=50%", "'50%'", "a number in [0, 1]"),
    # booleans, options, tuples
    ("--config.agent.layer_norm=yes", "'yes'", "true or false"),
    ("--config.agent.layer_norm=2", "'2'", "true or false"),
    ("--config.agent.layer_norm=TRUE", "'TRUE'", "true or false"),
    ("--config.agent.layer_norm", "agent.layer_norm", "agent.layer_norm=false"),
    ("--config.agent.backup=doubel", "'doubel'", "Did you mean double?"),
    ("--config.agent.backup=Double", "'Double'", "Did you mean double?"),
    ("--config.agent.backup=", "''", "one of double, max, mellow"),
    ("--config.agent.imitation=true", "'true'", "one of none, always, indicator"),
    ("--config.agent.hidden_sizes=", "''", "one or more integers"),
    ("--config.agent.hidden_sizes=()", "'()'", "one or more integers"),
    ("--config.agent.hidden_sizes=,", "','", "one or more integers"),
    ("--config.agent.hidden_sizes=256,,256", "'256,,256'", "one or more integers"),
    ("--config.agent.hidden_sizes=256,0", "0", "one or more integers in [1, 65536]"),
    ("--config.agent.hidden_sizes=256x256", "'256x256'", "one or more integers"),
    ("--config.agent.hidden_sizes=(256", "'(256'", "one or more integers"),
    ("--config.agent.hidden_sizes=[256)", "'[256)'", "one or more integers"),
    ("--config.agent.hidden_sizes=256,1.5", "'256,1.5'", "one or more integers"),
    ("--config.agent.hidden_sizes 256 256", "256", "it belongs to no flag"),
    # rules between fields
    ("--config.replay.capacity=100 --config.replay.warmup=101", "101", "raise replay.capacity"),
    ("--config.replay.capacity=300 --config.env.num_envs=301", "301", "raise replay.capacity"),
    ("--config.replay.capacity=50_000_000", "50000000", "Use at most 42949672"),
    ("--config.env.num_envs=1 --config.replay.warmup=200 --config.total_steps=10049", "10049", "Use at least 10050"),
    ("--config.seed=2147483647 --config.seeds=2", "2147483647", "a smaller seed"),
    ("--config.total_steps=2147483647", "2147483647", "Use fewer steps"),
    ("--config.agent.updates_per_epoch=1e8 --config.total_steps=1e6", "100000000", "Use at most"),
    ("--config.agent.updates_per_epoch=1e6 --config.total_steps=2e9", "2000000000", "smaller agent.updates_per_epoch"),
    ("--config.relabel.reward_reached=1 --config.agent.bounded=true", "1 and", "agent.bounded=false"),
    (
        "--config.relabel.reward_otherwise=-2 --config.agent.hindsight_bound=1",
        "-2",
        "agent.hindsight_bound=false",
    ),
    ("--config.agent.next_state=loss --config.relabel.reward_reached=0", "0 and -1", "agent.next_state=relabel"),
    (
        "--config.agent.next_state=loss --config.relabel.reward_reached=-1 --config.agent.hindsight_bound=0 "
        "--config.agent.gamma_hdm=inf",
        "inf",
        "Use a finite one",
    ),
    # what this run does not have
    ("--config.agent.noise=0.5", "--config.agent.noise: got 0.5", "no use for it. Leave it out."),
    ("--config.env.size=3", "--config.env.size: got 3", "no use for it. Leave it out."),
    ("--config.env.slip=0.2 --config.agent.gamma=0.5", "--config.env.slip: got 0.2", "Leave it out."),
    ("--config.env.actions=continuous", "hdm needs discrete actions", "Use discrete, or another algorithm."),
    # the same field twice
    ("--config.seeds=2 --config.seeds=3", "'2' and '3'", "Leave one out"),
    ("--config.agent.gamma=0.5 --config.agent.gamma 0.6", "'0.5' and '0.6'", "Leave one out"),
    # flags and stray words
    ("--config=her_push", "'hdm_push' and 'her_push'", "Leave one out"),
    ("--workdir=a --workdir=b", "'a' and 'b'", "Leave one out"),
    ("--workdir=", "--workdir", "--workdir=DIR"),
    ("--workdir", "--workdir", "--workdir=DIR"),
    ("--workdir --resume", "--workdir", "--workdir=DIR"),
    ("--resume", "--resume", "--workdir=DIR"),
    ("--resume=true", "'true'", "takes no value"),
    ("--list=all", "'all'", "takes no value"),
    ("--noresume", "--noresume", "Did you mean --resume?"),
    ("--work_dir=x", "--work_dir", "Did you mean --workdir?"),
    ("--seeds=8", "--seeds", "Did you mean --config.seeds?"),
    ("--agent.gamma=0.9", "--agent.gamma", "Did you mean --config.agent.gamma?"),
    ("config.seeds=8", "config.seeds", "Did you mean --config.seeds?"),
    ("-config.seeds=8", "-config.seeds", "Did you mean --config.seeds?"),
    ("--verbose", "--verbose", "--help"),
    ("-v", "-v", "--help"),
    ("--", "--", "--help"),
    ("-", "-", "--help"),
    ("extra", "extra", "--help"),
    ("8", "8", "--help"),
    ("true", "true", "--help"),
    ("--list extra", "extra", "--help"),
    ("--help --config.seeds=0", "seeds", "an integer"),
]
# whole command lines
BAD_LINES = [
    ("", "--config", "--list"),
    ("--config.seeds=3", "--config", "--list"),
    ("--workdir=x", "--config", "--config=hdm_push"),
    ("--config", "--config", "--config=hdm_push"),
    ("--config=", "--config", "--config=hdm_push"),
    ("--config --list", "--config", "--config=hdm_push"),
    ("--config=hdm_psh", "'hdm_psh'", "Did you mean --config=hdm_push?"),
    ("--config hdm_psuh", "'hdm_psuh'", "Did you mean --config=hdm_push?"),
    ("--config=HDM_PUSH", "'HDM_PUSH'", "Did you mean --config=hdm_push?"),
    ("--config=hdm_push_papr", "'hdm_push_papr'", "Did you mean --config=hdm_push_paper?"),
    ("--config=hdm_push.py", "'hdm_push.py'", "--list"),
    ("--config=push", "'push'", "--list"),
    ("--config=zzz", "'zzz'", "--list"),
    ("--config=_paper", "'_paper'", "--list"),
    ("--config=zzz --list", "'zzz'", "--list"),
    ("--config=../hdm_push", "'../hdm_push'", "--list"),
    ("--config=hdm_flip", "'hdm_flip'", "Did you mean --config=hdm_flip_bit?"),
    # pairs that do not fit, and schedules that no paper has
    ("--config=her_ddpg_flip_bit", "her_ddpg needs continuous actions and flip_bit has discrete", "Take another"),
    ("--config=her_ddpg_dense_grid_four_rooms_paper", "grid_four_rooms has discrete ones", "Take another"),
    ("--config=her_ddpg_flip_bit --help", "her_ddpg needs continuous actions", "Take another"),
    ("--config=hdm_flip_bit_paper", "no paper has the pair", "Take hdm_flip_bit."),
    ("--config=hem_push_paper", "no paper has the pair", "Take hem_push."),
    # what those runs do not have, and what they have in their own range
    ("--config=hem_flip_bit --config.agent.gamma_hdm=0.5", "--config.agent.gamma_hdm: got 0.5", "Leave it out."),
    ("--config=hem_flip_bit --config.env.actions=discrete", "--config.env.actions: got", "Leave it out."),
    ("--config=hpg_flip_bit --config.replay.warmup=3", "--config.replay.warmup: got 3", "Leave it out."),
    ("--config=hpg_push --config.agent.noise=0.1", "--config.agent.noise: got 0.1", "Leave it out."),
    ("--config=her_ddpg_push --config.env.actions=discrete", "her_ddpg needs continuous", "Use continuous, or"),
    ("--config=hem_flip_bit --config.env.size=0", "got 0", "an integer in [1, 10000]"),
    ("--config=hem_flip_bit --config.env.size=10_001", "got 10001", "an integer in [1, 10000]"),
    ("--config=hem_flip_bit --config.env.start=ones", "'ones'", "one of uniform, zeros"),
    (
        "--config=hpg_flip_bit --config.env.size=25 --config.env.num_envs=2 --config.total_steps=49",
        "got 49",
        "Use at least 50",
    ),
    ("--config=her_ddpg_clipped_push --config.agent.gamma=1", "agent.gamma", "agent.clip_targets=false"),
    ("--confg=hdm_push", "--confg", "Did you mean --config?"),
    ("config=hdm_push", "config", "Did you mean --config?"),
    ("hdm_push", "hdm_push", "--config=hdm_push"),
    ("--hdm_push", "hdm_push", "--config=hdm_push"),
    ("--resume", "--resume", "--workdir=DIR"),
    ("--resume --workdir=no/such/run", "no/such/run", "without --resume"),
]
BAD = [(f"{PUSH} {line}", got, remedy) for line, got, remedy in BAD_OVERRIDES] + BAD_LINES


def refused(argv):
    """The message, which is one line and short."""
    with pytest.raises(config.UsageError) as caught:
        config.parse(argv)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 320
    assert message.endswith((".", "?"))
    return message


def parsed(*argv):
    """The values by dotted field."""
    return config.values(config.parse([PUSH, *argv]).config)


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
    assert run.main(line.split()) == 2
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
        "from experiments import config, listing\n"
        "config.parse(['--config=hdm_push']), listing.list_text(), listing.help_text()\n"
        "print([m for m in ('brax', 'mujoco', 'flax', 'matplotlib', 'absl.app') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", presets.names())
def test_every_name_parses_to_its_values(name):
    arguments = config.parse(["--config", name, "--workdir", "some/where"])
    assert arguments.name == name
    assert config.values(arguments.config) == presets.config(name)
    assert list(config.values(arguments.config)) == list(presets.fields_of(name))
    assert (arguments.workdir, arguments.resume, arguments.list, arguments.help) == (Path("some/where"), *[False] * 3)


def test_the_size_of_a_task_is_its_horizon():
    arguments = config.parse(["--config=hem_flip_bit", "--config.env.size=50"])
    values = config.values(arguments.config)
    assert (values["env.size"], presets.horizon("hem_flip_bit", values)) == (50, 50)
    spec = presets.build("hem_flip_bit", values).env.spec
    assert (spec.horizon, spec.observation_shape) == (50, (50,))


@pytest.mark.parametrize("name", presets.names())
def test_every_field_that_a_name_does_not_have_is_refused_with_its_own(name):
    known = presets.fields_of(name)
    for field, spec in fields.FIELDS.items():
        if field not in known:
            message = refused([f"--config={name}", f"--config.{field}={fields.text(spec.default)}"])
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
    assert type(got) is type(fields.FIELDS[field].default)


def test_order_does_not_matter_and_equal_repetitions_are_one():
    argv = [PUSH, "--config.seeds=8", "--workdir=x", "--config.agent.gamma_hdm", "0.6", "--config.seeds", "8.0", PUSH]
    one, other = config.parse(argv), config.parse(argv[5:] + argv[:5])
    assert one == other
    assert config.values(one.config) == presets.config("hdm_push") | {"seeds": 8, "agent.gamma_hdm": 0.6}


def test_the_config_is_an_ml_collections_config_that_takes_no_new_key():
    made = config.parse([PUSH]).config
    assert made.agent.gamma == presets.config("hdm_push")["agent.gamma"]
    with pytest.raises(AttributeError, match="gama"):
        made.agent.gama = 1.0


def test_two_calls_share_nothing():
    first = config.make("hdm_push")
    first.agent.gamma = 0.5
    assert config.values(config.make("hdm_push")) == presets.config("hdm_push")


def test_make_takes_typed_values_and_refuses_others():
    assert config.values(config.make("hdm_push", {"seeds": 2.0, "agent.gamma": 1}))["seeds"] == 2
    for overrides in ({"seeds": "2"}, {"seeds": True}, {"agent.gamma": None}, {"agent.bounded": 1}, {"gamma": 0.5}):
        with pytest.raises(config.UsageError, match=next(iter(overrides))):
            config.make("hdm_push", overrides)
    with pytest.raises(config.UsageError, match="hdm_psh"):
        config.make("hdm_psh")


def in_range(field):
    """Text and value of a field, in its range."""
    spec = fields.FIELDS[field]
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
        return config.parse(argv), ""
    except config.UsageError as error:
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
        assert not any(fields.allowed(fields.FIELDS[field]) in message for field, _ in lines)
        assert "no use for it" not in message
        return
    expected = presets.config(name) | {field: value for field, (_, value) in lines}
    assert same(config.values(arguments.config), expected)
    text = json.dumps(config.to_json_dict(arguments.config), allow_nan=False)
    back = config.from_json_dict(name, json.loads(text))
    assert same(config.values(back), expected)


WRITTEN = st.text(max_size=12) | st.from_regex(r"[-+0-9._einfa,()]{1,8}")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(presets.names()), st.sampled_from(sorted(fields.FIELDS)), WRITTEN)
def test_any_text_parses_to_a_value_in_range_or_is_refused(name, field, written):
    arguments, message = attempt([f"--config={name}", f"--config.{field}={written}"])
    if arguments is None:
        assert message.startswith(f"--config.{field}") or field in message or "total_steps" in message
        return
    assert field in presets.fields_of(name)
    spec, value = fields.FIELDS[field], config.values(arguments.config)[field]
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
    assert (
        arguments.list
        or arguments.help
        or config.values(arguments.config).keys() == presets.fields_of("hdm_push").keys()
    )


@pytest.fixture
def stored(tmp_path):
    """The directory of a run whose config.json is as `workdir` writes it."""
    made = config.make("hdm_push", {"agent.gamma_hdm": math.inf, "agent.gamma": 0.1 + 0.2, "total_steps": 200_000})
    document = {"format": 1, "name": "hdm_push", "config": config.to_json_dict(made), "versions": {"jax": "0"}}
    (tmp_path / "config.json").write_text(json.dumps(document, allow_nan=False))
    return tmp_path


def test_load_gives_name_and_values_back_to_the_bit(stored):
    name, loaded, grid = config.load(stored / "config.json")
    assert grid == {}
    assert name == "hdm_push"
    expected = {"agent.gamma_hdm": math.inf, "agent.gamma": 0.30000000000000004, "total_steps": 200_000}
    assert same(config.values(loaded), presets.config("hdm_push") | expected)
    assert json.loads((stored / "config.json").read_text())["config"] == config.to_json_dict(loaded)


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
    arguments = config.parse(resume(stored, *argv))
    assert (arguments.name, arguments.workdir, arguments.resume) == ("hdm_push", stored, True)
    before, after = config.values(config.load(stored / "config.json")[1]), config.values(arguments.config)
    assert {field for field in before if before[field] != after[field]} <= set(config.RESUMABLE)
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
    with pytest.raises(config.UsageError, match="damaged"):
        config.parse(resume(stored))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["config"]["agent"].pop("gamma"), r"agent\.gamma: it is missing"),
        (lambda d: d["config"].pop("replay"), r"replay\.capacity: it is missing"),
        (lambda d: d["config"]["agent"].update(gamma="high"), r"agent\.gamma: got 'high'"),
        (lambda d: d["config"]["agent"].update(gamma=math.nan), r"agent\.gamma: got nan"),
        (lambda d: d["config"]["agent"].update(gamma=True), r"agent\.gamma: got True"),
        (lambda d: d["config"]["agent"].update(gamma=None), r"agent\.gamma: got None"),
        (lambda d: d["config"]["agent"].update(gamma_hdm=10**400), r"agent\.gamma_hdm: got 1000"),
        (lambda d: d["config"]["agent"].update(hidden_sizes=[]), r"agent\.hidden_sizes: got \[\]"),
        (lambda d: d["config"]["agent"].update(zeta=1), r"agent\.zeta: .*no such field"),
        (lambda d: d["config"]["agent"].update(noise=0.5), r"agent\.noise: got 0\.5, but this run has no use for it"),
        (lambda d: d["config"].update(agent=3), r"agent\.learning_rate: it is missing"),
        (lambda d: d.update(name="her_ddpg_flip_bit"), "her_ddpg needs continuous actions"),
        (lambda d: d.update(name="hdm_psh"), "hdm_psh"),
    ],
)
def test_a_config_of_another_version_is_refused_by_field(stored, change, message):
    document = json.loads((stored / "config.json").read_text())
    change(document)
    (stored / "config.json").write_text(json.dumps(document))
    with pytest.raises(config.UsageError, match=message):
        config.parse(resume(stored))


def test_a_config_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(config.UsageError, match="cannot be read"):
        config.parse(resume(tmp_path))


def test_the_list_holds_every_name_with_its_numbers_in_aligned_columns():
    lines = listing.list_text().splitlines()
    assert max(map(len, lines)) <= listing.WIDTH
    rows = [line for line in lines[1:] if line.split() and line.split()[0] in presets.names()]
    assert [row.split()[0] for row in rows] == list(presets.names())  # a line each
    assert {len(row) for row in rows} == {len(lines[0])}
    for row in rows:
        name, actions, horizon, steps, ratio, gamma_hdm, next_state, network = row.split()
        values = presets.config(name)
        assert (int(horizon), int(steps)) == (presets.horizon(name, values), values["total_steps"])
        per_step = values.get("agent.updates_per_epoch", 1) / values["env.num_envs"] / presets.horizon(name, values)
        assert float(ratio) == pytest.approx(per_step, rel=5e-3)
        assert actions == values.get("env.actions", "discrete")
        assert network == fields.text(values["agent.hidden_sizes"])
        assert (gamma_hdm != "-") == name.startswith("hdm_")
        assert next_state == (fields.text(values["relabel.next_state"]) if "relabel.next_state" in values else "-")


def test_the_list_says_what_each_algorithm_and_each_task_is_once_and_what_paper_means():
    lines = listing.list_text().splitlines()
    for algorithm, row in presets.ALGORITHMS.items():
        at = lines.index(f"{algorithm}: {row.help}")
        assert lines.count(lines[at]) == 1
        below = next(name for name in presets.names() if presets.split(name)[0] == algorithm)
        assert lines[at + 1].split()[0] == below
    for task, row in presets.ENVIRONMENTS.items():
        assert lines.count(f"  {task}: {row.help}") == 1
    assert sum("to the letter" in line for line in lines) == 1


@pytest.mark.parametrize("name", [None, "hdm_push", "hem_flip_bit", "reinforce_navigation_paper"])
def test_the_help_holds_the_fields_that_there_are_with_value_help_and_range(name):
    text = listing.help_text(name)
    assert max(map(len, text.splitlines())) <= listing.WIDTH
    whole = " ".join(text.split())
    known = presets.fields_of(name) if name else fields.FIELDS
    values = presets.config(name) if name else {field: spec.default for field, spec in known.items()}
    for field, spec in fields.FIELDS.items():
        entry = f" {field} {fields.text(values[field])} {spec.help}; {fields.allowed(spec)}" if field in known else None
        assert entry in whole if entry else f" {field} " not in whole
    assert name is None or f"{name}: {presets.describe(name)}. Its fields, as it sets them:" in whole
    assert all(f" {part}" in whole for part in (*presets.ALGORITHMS, *presets.ENVIRONMENTS))
    assert "--list" in whole


@pytest.mark.parametrize("argv", [["--list"], ["--help"], ["-h"], [PUSH, "--help"], ["--list", "--workdir=x"]])
def test_list_and_help_ask_for_text_alone(argv):
    arguments = config.parse(argv)
    assert arguments.list == ("--list" in argv)
    assert arguments.help != arguments.list
    assert arguments.config is None
    assert arguments.name == ("hdm_push" if PUSH in argv else None)


def test_the_example_runs():
    assert doctest.testmod(config).failed == 0
