"""What --list and --help print: names with their main numbers, and fields with their ranges."""

import textwrap

from hindsight_jax import fields, presets

WIDTH = 120
USAGE = """\
python -m experiments.run --config=NAME [--config.FIELD=VALUE ...] [--config.grid=JSON] [--workdir=DIR] [--explain]
python -m experiments.run --resume --workdir=DIR [--config.total_steps=MORE]
python -m experiments.run ... --distributed  [--coordinator=HOST:PORT --processes=N --process=I]
python -m experiments.run --list
python -m experiments.run --help [--config=NAME]
"""
_COLUMNS = ("name", "actions", "horizon", "env steps", "updates/step", "gamma_hdm", "next-state", "network")


def list_text() -> str:
    """What --list prints: the algorithms, each with a line of numbers for every name, and the tasks."""
    names = presets.names()
    table = [_COLUMNS, *map(_main_numbers, names)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    header, *rows = ("  ".join([f"  {row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]) for row in table)
    lines = [header]
    for name, row in zip(names, rows, strict=True):
        algorithm, _, _ = presets.split(name)
        heading = f"{algorithm}: {presets.ALGORITHMS[algorithm].help}"
        lines += [row] if heading in lines else [heading, row]
    tasks = [f"  {task}: {row.help}" for task, row in presets.ENVIRONMENTS.items()]
    example = "python -m experiments.run --config=hdm_push --config.seeds=8 --config.agent.gamma_hdm=0.6"
    how = ["With _paper: the paper's schedule to the letter.", f"To run one:  {example}", "Its fields:  add --help."]
    return "\n".join([*lines, "", "Tasks:", *tasks, *how])


def help_text(name: str | None = None) -> str:
    """What --help prints: the usage, and the fields, with the values and ranges that they have.

    With a name, they are the fields that it has, as it sets them; without one all fields, with their defaults.
    """
    known = presets.fields_of(name) if name else presets.all_fields()
    current = presets.config(name) if name else {field: spec.default for field, spec in known.items()}
    title = "Fields and defaults. A name has those that its agent and its task read, and sets some: add --config=NAME."
    if name:
        title = f"{name}: {presets.describe(name)}. Its fields, as it sets them:"
    lines = [USAGE, *textwrap.wrap(title, WIDTH)]
    wide = max(map(len, known))
    for field, spec in known.items():
        line = f"  {field:<{wide}}  {fields.text(current[field]):<11}  {spec.help}; {fields.allowed(spec)}"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * (wide + 17), break_on_hyphens=False)
    algorithms, tasks = ", ".join(presets.ALGORITHMS), ", ".join(presets.ENVIRONMENTS)
    names = f"Names: ALGORITHM_TASK, of {algorithms}, and {tasks}, where they fit; all of them: --list."
    return "\n".join([*lines, "", *textwrap.wrap(names, WIDTH)])


def _main_numbers(name: str) -> tuple[str, ...]:
    """The columns of `list_text` for one name; env steps are per seed, next-state is the share of such goals."""
    v = presets.config(name)
    _, task, _ = presets.split(name)
    uses_gamma_hdm = v.get("agent.imitation") == "indicator" or v.get("agent.next_state") == "loss"
    horizon = presets.horizon(name, v)
    return (
        name,
        v.get("env.actions", presets.ENVIRONMENTS[task].actions[0]),
        str(horizon),
        str(v["total_steps"]),
        f"{v.get('agent.updates_per_epoch', 1) / (v['env.num_envs'] * horizon):.3g}",
        fields.text(v["agent.gamma_hdm"]) if uses_gamma_hdm else "-",
        fields.text(v["relabel.next_state"]) if "relabel.next_state" in v else "-",
        fields.text(v["agent.hidden_sizes"]),
    )
