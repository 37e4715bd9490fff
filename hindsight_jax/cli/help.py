"""Writes the texts of --list (names, their main numbers and measured results) and --help (flags, and fields)."""

import textwrap

from hindsight_jax import fields, presets
from hindsight_jax.cli import flags
from hindsight_jax.cli.commands import COMMANDS, aligned

WIDTH = 120
USAGE = f"""\
{fields.COMMAND} --config=NAME [--config.FIELD=VALUE ...] [--config.grid=JSON] [--workdir=DIR] [--explain]
{fields.COMMAND} --resume --workdir=DIR [--config.total_steps=MORE]
{fields.COMMAND} --list[=TASK or ALGORITHM]
{fields.COMMAND} --help [--config=NAME]
{fields.COMMAND} COMMAND [--help]
"""
_COLUMNS = ("name", "actions", "horizon", "env steps", "updates/step", "network", "expected")
_EXPECTED = (
    "expected: success at an episode's end and minutes of all seeds, measured once on two shared CPU cores or on one; "
    "-: not measured."
)


def list_text(word: str = "") -> str:
    """Writes the text of --list: the algorithms and the tasks; the names of one of them; or all names."""
    if not word:
        return "\n".join(_parts())
    names = [name for name in presets.names() if word in (*presets.split(name)[:2], "all")]
    titles = {**{key: row.help for key, row in presets.ALGORITHMS.items()}, "all": "every name"}
    titles |= {key: row.help for key, row in presets.ENVIRONMENTS.items()}
    lines = [f"{word}: {titles[word]}", *aligned([_COLUMNS, *map(_main_numbers, names)], "  ")]
    how = f"{_EXPECTED} With _paper: the paper's numbers, or its released code's."
    return "\n".join([*lines, *textwrap.wrap(how, WIDTH), f"To run one:  {fields.COMMAND} --config={names[0]}"])


def help_text(name: str = "") -> str:
    """Writes the text of --help: the usage, the flags, and the fields with their values and ranges.

    With a name, it shows the fields of that name, as it sets them, and what one without effect needs; without one, all
    fields, with their defaults and what they need.
    """
    known = presets.fields_of(name) if name else presets.all_fields()
    defaults = {field: spec.default for field, spec in (presets.candidates(name) if name else known).items()}
    current = defaults | (presets.config(name) if name else {})
    title = "Fields and defaults. A name has those that its agent and its task read, and sets some: add --config=NAME."
    if name:
        title = f"{name}: {presets.describe(name)}.{_expectation(name)} Its fields, as it sets them:"
    of_runs = flags.of_runs()
    lines = [USAGE, *aligned([(f"--{key}", of_runs[key].help) for key in of_runs if key != "h"], "  ")]
    lines += ["", "Commands:", *aligned(list(COMMANDS.items()), "  "), "", *textwrap.wrap(title, WIDTH)]
    wide = max(map(len, known))
    for field, spec in known.items():
        others = [need for need in spec.needs if field not in need.alternatives]
        unmet = [f"; needs {need}" for need in others if not (name and need.holds(current))]
        value = fields.text(current[field]) or "''"
        line = f"  {field:<{wide}}  {value:<11}  {spec.help}; {fields.allowed(spec)}{''.join(unmet)}"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * (wide + 17), break_on_hyphens=False)
    algorithms, tasks = ", ".join(presets.ALGORITHMS), ", ".join(presets.ENVIRONMENTS)
    names = f"Names: ALGORITHM_TASK, of {algorithms}, and {tasks}, where they fit; all of them: --list=all."
    return "\n".join([*lines, "", *textwrap.wrap(names, WIDTH)])


def _parts() -> list[str]:
    """The lines of --list alone: algorithms, and tasks with the name of the highest measured success."""
    tasks = []
    for task, row in presets.ENVIRONMENTS.items():
        measured = [name for name in presets.EXPECTED if presets.split(name)[1] == task]
        best = max(measured, key=lambda name: presets.EXPECTED[name].success, default=None)
        tasks.append((task, row.help, f"{best}: {presets.EXPECTED[best]}" if best else "-"))
    algorithms = [(algorithm, row.help) for algorithm, row in presets.ALGORITHMS.items()]
    lines = ["A name is ALGORITHM_TASK, where they fit.", "", "Algorithms:", *aligned(algorithms, "  ")]
    lines += ["", *aligned([("Tasks:", "", "expected"), *tasks])]
    lines += ["", *textwrap.wrap(_EXPECTED, WIDTH), ""]
    examples = [
        (f"{fields.COMMAND} --list=push", "the names of a task (or an algorithm), in numbers; =all: every one"),
        (f"{fields.COMMAND} --config=hdm_push --config.seeds=8", "trains one"),
        (f"{fields.COMMAND} --config=hdm_push --help", "its fields"),
    ]
    return [*lines, *aligned(examples)]


def _expectation(name: str) -> str:
    """Tells the measured result in a sentence; '' without one."""
    if name not in presets.EXPECTED:
        return ""
    found = presets.EXPECTED[name]
    cores = f"{found.cores} CPU core{'s' * (found.cores > 1)}"
    return f" Expect a success of {found} ({found.seeds} seeds on {cores}: experiments/results/{found.source})."


def _main_numbers(name: str) -> tuple[str, ...]:
    """The cells of one name in `list_text`; env steps are per seed."""
    config = presets.config(name)
    _, task, _ = presets.split(name)
    horizon = presets.horizon(name, config)
    return (
        name,
        config.get("env.actions", presets.ENVIRONMENTS[task].actions[0]),
        str(horizon),
        str(config["total_steps"]),
        f"{config.get('agent.updates_per_epoch', 1) / (config['env.num_envs'] * horizon):.3g}",
        fields.text(config.get("agent.hidden_sizes", "-")),
        str(presets.EXPECTED.get(name, "-")),
    )
