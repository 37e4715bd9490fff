"""Makes one small JSON file of several work directories, and prints it as a table.

python -m experiments.reproduce.collect experiments/results/push.json hdm=runs/a her=runs/b
python -m experiments.reproduce.collect experiments/results/push.json

A grid has an entry for each of its settings: "LABEL, gamma_hdm 0.5, beta 1".
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hindsight_jax import presets, statistics
from hindsight_jax.runs import records, strict_json, summary
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

COLUMNS = ("run", "seeds", "env steps", "updates", "success at the end", "any step", "seconds")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or "=" in argv[0] or any("=" not in argument for argument in argv[1:]):
        print("usage: python -m experiments.reproduce.collect FILE.json [LABEL=WORKDIR ...]", file=sys.stderr)
        return 2
    path = Path(argv[0])
    try:
        results = strict_json.restored(json.loads(path.read_text())) if path.exists() else {}
        if not isinstance(results, dict):
            raise ValueError(f"{path}: it holds no results, which are a JSON object. Choose another file.")
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
    """The digest of a run under its label; of a grid one for each setting, which its label then names."""
    groups = summary.by_setting(workdir.read_records()) or [({}, [])]
    named = lambda setting: f"{label}, {presets.label(setting)}" if setting else label
    return {named(setting): digest(workdir, setting, group) for setting, group in groups}


def digest(workdir: WorkDir, setting: Mapping[str, Any], table_rows: Sequence[records.Record]) -> dict[str, Any]:
    """What a document may quote: where the run comes from, every value, and every evaluation."""
    document = workdir.read_config()
    ends, anywhere = summary.table(table_rows, "success_end"), summary.table(table_rows, "success_any")
    if not len(ends.env_steps):
        raise ValueError(f"{workdir.path}: no evaluation that all seeds have. Let the run reach its first one.")
    seconds = (
        summary.table(table_rows, "seconds_train").values[0] + summary.table(table_rows, "seconds_evaluate").values[0]
    )
    found = {
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
    if "q_mean" in summary.diagnostics(table_rows):  # who learns no values has none
        found["q_mean"] = summary.table(table_rows, "q_mean").values.round(3).tolist()
    found["last"] = {  # of each seed: what a document says of causes
        name: summary.table(table_rows, name).values[:, -1].round(4).tolist()
        for name in summary.diagnostics(table_rows)
    }
    return found


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
    """'0.712 (0.650 to 0.774)', or the value alone of one seed.

    >>> spread([0.5])
    '0.500'
    """
    mean, low, high = statistics.interval(values, nan_policy="propagate")
    return f"{mean:.3f}" if len(values) == 1 else f"{mean:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
