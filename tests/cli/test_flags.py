"""Values of flags: read exactly, however they are written, or refused in print on one line."""

import math

import pytest
from bad_arguments import PUSH
from parsing import refused

from hindsight_jax import presets
from hindsight_jax.cli import arguments as cli_arguments


def parsed(*argv):
    """The values by dotted field."""
    return cli_arguments.parse([PUSH, *argv]).config


@pytest.mark.parametrize("argv", [[PUSH, ""], [PUSH, " "], [PUSH, "--config.seeds= 4 x"], [PUSH, "--config.seeds=\n"]])
def test_odd_arguments_are_refused(argv):
    refused(argv)


@pytest.mark.parametrize("odd", ["\x1b[31mred", "a\nb", "x" * 5000, "\udcff"])
def test_odd_text_is_shown_in_print_on_one_line(odd):
    for argv in ([f"--config={odd}"], [PUSH, odd], [PUSH, f"--config.{odd}=1"], [PUSH, f"--config.seeds={odd}"]):
        refused(argv)


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
        ("agent.beta", "0.5", 0.5),
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


@pytest.mark.parametrize("line", ["-config=hdm_push -config.seeds=8", "-config hdm_push -config.seeds 8"])
def test_one_dash_does_as_well(line):
    assert cli_arguments.parse(line.split()).config == presets.config("hdm_push") | {"seeds": 8}


def test_switches_may_be_said_to_be_off():
    plain = cli_arguments.parse([PUSH])
    for argument in ("--noresume", "--resume=false", "--nohelp", "--noexplain", "--explain=0"):
        assert cli_arguments.parse([PUSH, argument]) == plain
    assert cli_arguments.parse([PUSH, "--explain=true"]).explain
