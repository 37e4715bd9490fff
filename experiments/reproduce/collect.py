"""Collects several runs in one small JSON file, and prints it as a table.

python -m experiments.reproduce.collect experiments/results/push.json hdm=runs/a her=runs/b
python -m experiments.reproduce.collect experiments/results/push.json

A run of a grid has an entry for each setting: "LABEL, gamma_hdm 0.5, beta 1".
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hindsight_jax import checks, presets, statistics
from hindsight_jax.runs import records, strict_json, summary
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

COLUMNS = ("run", "seeds", "env steps", "updates", "success at the end", "any step", "seconds")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file, prints the table, and returns the exit status: 0, or 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or "=" in argv[0] or any("=" not in argument for argument in argv[1:]):
        print("usage: python -m experiments.reproduce.collect FILE.json [LABEL=WORKDIR ...]", file=sys.stderr)
        return 2
    path = Path(argv[0])
    try:
        results = strict_json.restored(json.loads(path.read_text())) if path.exists() else {}
        if not isinstance(results, dict):
            checks.fail(str(path), type(results).__name__, "results are a JSON object", "Choose another file.")
        for argument in argv[1:]:
            label, _, workdir = argument.partition("=")
            results |= digests(label, WorkDir.open(workdir))
    except (OSError, ValueError, WorkDirError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if len(argv) > 1:
        path.write_text(json.dumps(strict_json.plain(results), indent=1) + "\n")
    print(table(results))
    return 0


def digests(label: str, workdir: WorkDir) -> dict[str, Any]:
    """label -> digest of a run; of a run of a grid, a label and a digest for each setting."""
    groups = summary.by_setting(workdir.read_records()) or [({}, [])]
    return {
        f"{label}, {presets.label(setting)}" if setting else label: digest(workdir, setting, group)
        for setting, group in groups
    }


def digest(workdir: WorkDir, setting: Mapping[str, Any], table_rows: Sequence[records.Record]) -> dict[str, Any]:
    """The run's origin, every value of its config, and success at every evaluation.

    Raises ValueError if there is no evaluation that all seeds have.
    """
    document = workdir.read_config()
    ends, anywhere = summary.table(table_rows, "success_end"), summary.table(table_rows, "success_any")
    if not len(ends.env_steps):
        rule = "all seeds must have one evaluation in common"
        checks.fail(str(workdir.path), "a run without one", rule, "Let the run reach its first evaluation.")
    parts = [summary.table(table_rows, f"seconds_{part}").values[0] for part in ("train", "evaluate")]
    seconds = parts[0] + parts[1]
    entry = {
        "name": document["name"],
        "values": document["config"],
        **({"setting": dict(setting)} if setting else {}),
        "commit": document["commit"],
        "dirty": document["dirty"],
        "device": document["device"],
        "versions": document["versions"],
        "seeds": ends.seeds,
        "episodes": document["config"]["evaluation"]["episodes"],
        "env_steps": ends.env_steps.tolist(),
        "updates": summary.table(table_rows, "updates").values[0].astype(int).tolist(),
        "seconds": seconds.round(1).tolist(),
        "success_end": ends.values.round(4).tolist(),
        "success_any": anywhere.values.round(4).tolist(),
    }
    if "q_mean" in summary.diagnostics(table_rows):  # agents that learn a policy alone have no Q
        entry["q_mean"] = summary.table(table_rows, "q_mean").values.round(3).tolist()
    entry["last"] = {  # the last value of every diagnostic, of each seed
        name: summary.table(table_rows, name).values[:, -1].round(4).tolist()
        for name in summary.diagnostics(table_rows)
    }
    return entry


def table(results: dict[str, Any]) -> str:
    """A Markdown table of the last evaluations: means over seeds, with 95 % intervals; nan if a seed failed.

    >>> print(table({}))
    | run | seeds | env steps | updates | success at the end | any step | seconds |
    |---|---|---|---|---|---|---|
    """
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for label, result in results.items():
        cells = [label, str(len(result["seeds"])), f"{result['env_steps'][-1]:,}", f"{result['updates'][-1]:,}"]
        cells += [spread([seed[-1] for seed in result[key]]) for key in ("success_end", "success_any")]
        lines.append(f"| {' | '.join([*cells, format(result['seconds'][-1], ',.0f')])} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """'0.712 (0.650 to 0.774)': mean and interval; of one seed its value alone.

    >>> spread([0.5])
    '0.500'
    """
    mean, low, high = statistics.interval(values, nan_policy="propagate", rates=True)
    return f"{mean:.3f}" if len(values) == 1 else f"{mean:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
