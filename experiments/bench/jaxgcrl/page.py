"""The section of a page beside JaxGCRL: python -m experiments.bench.jaxgcrl.page FIGURES.json PAGE

Writes it between `<!-- study jaxgcrl -->` and `<!-- end -->`, which are appended where the page has them not.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.bench.jaxgcrl import compare
from experiments.reproduce.page import replaced
from hindsight_jax.runs import strict_json

NAME = "jaxgcrl"
WORDS = {"success_any": "at any step", "success_end": "at the end"}
FIGURES = "experiments/results/bench_jaxgcrl.json"
HEADING = ("task", "run", "seed", "any step: first", "any step: from there on", "at the end: first")
HEADING += ("at the end: from there on", "last evaluation: env steps", "updates", "any step", "at the end")
HEADING += ("seconds",)

INTRODUCTION = """## Beside JaxGCRL

[JaxGCRL](https://github.com/MichalBortkiewicz/JaxGCRL) ({theirs}) trains contrastive RL (CRL) in JAX on its own
tasks. Here it stands beside ours ({ours}) on {cores}: one run after the other, each in a process of its own.

```
{command}
python -m experiments.bench.jaxgcrl.page {figures} docs/results.md
```

When success was {level} or more: at the first evaluation that has it, and at the first from which on every one
has it. An entry is: env steps: seconds since the process began (without compilation, of training alone). The file
has every evaluation.
"""
NOTES = """
- The first number of seconds counts everything, on both sides: the start (imports, and making the task),
  compilation, training and evaluation. Compilation is tracing, lowering and XLA's own, with an empty cache;
  training alone is what the start, compilation and evaluation leave.
- Success at any step is the share of episodes with a success after at least one action, so an arm that swings
  past its goal has it; success at the end is the share whose last state is a success. An evaluation plays
  {episodes} episodes of the policy's mean action on new starts and goals.
- JaxGCRL has its defaults but for these flags: {flags}. It renders and logs nothing here. The driver brings an
  evaluator of its own, which plays the same episodes from the same keys: JaxGCRL's averages a metric that its
  reacher has not, and tells no success at the end.
- Ours play our task of the same name and horizon, evaluated at the same spacing; all other values, the batch, the step
  size and the updates among them, are the run's own, as JaxGCRL's are its. Where JaxGCRL's task ends an episode early,
  as its ant's at a fall, the state there is the last; ours goes on.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the section, and returns the exit status: 0, or 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) != 2:
        print("usage: python -m experiments.bench.jaxgcrl.page FIGURES.json PAGE", file=sys.stderr)
        return 2
    source, target = map(Path, argv)
    try:
        figures = strict_json.restored(json.loads(source.read_text()))
        target.write_text(replaced(target.read_text(), NAME, block(figures)))
    except KeyError as error:
        print(f"error: {source}: it has no {error}; make it with --parts jaxgcrl", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def block(figures: Mapping[str, Any]) -> str:
    """The section, from what `python -m experiments.bench --parts jaxgcrl` wrote."""
    peer, runs = figures[NAME]["peer"], figures[NAME]["runs"]
    device, versions, ours = figures["device"], peer["versions"], figures["versions"]
    count = device["cpu_cores"]
    lines = [
        INTRODUCTION.format(
            theirs=f"{short(peer['commit'])}, jax {versions['jax']}, brax {versions['brax']}",
            ours=f"{short(figures['commit'])}, jax {ours['jax']}, brax {ours['brax']}",
            cores=f"{count} core{'s' * (count > 1)} ({device['processor'] or device['kind']})",
            command=command(peer),
            figures=FIGURES,
            level=peer["level"],
        ),
        f"| {' | '.join(HEADING)} |",
        "|" + "---|" * len(HEADING),
        *(f"| {' | '.join(row(run))} |" for run in runs.values()),
        "",
        *ratios(runs),
        NOTES.format(episodes=peer["episodes"], flags=flags(runs)).strip(),
    ]
    return "\n".join(lines)


def short(commit: str | None) -> str:
    """The first digits of a commit.

    >>> short("6dccab265b"), short(None)
    ('commit 6dccab2', 'no commit')
    """
    return f"commit {commit[:7]}" if commit else "no commit"


def command(peer: Mapping[str, Any]) -> str:
    """The command that measured; PATH is the python of an environment with JaxGCRL."""
    configs, seeds = " ".join(peer["configs"]), " ".join(map(str, peer["seeds"]))
    flags = f"--peer-configs {configs} --peer-steps={peer['steps']} --peer-seeds {seeds}"
    flags += f" --peer-minutes={peer['minutes']:g}"
    return f"python -m experiments.bench --parts jaxgcrl --peer-python=PATH {flags} --output={FIGURES}"


def row(run: Mapping[str, Any]) -> list[str]:
    """The cells of a run, one for each of HEADING."""
    curve = run["curve"]
    cells = [run["task"], run["name"], str(run["seed"])]
    for measure in compare.MEASURES:
        cells += [_when(run, index) for index in compare.reached(curve[measure])]
    ending = [f"{name}: {run[name]}" for name in ("stopped", "error") if name in run]  # before its time
    if not curve["env_steps"]:
        return [*cells, "-", "-", "-", "-", ", ".join(ending) or "-"]
    seconds = ", ".join([f"{curve['seconds'][-1]:,.0f}", *ending])
    done = (f"{curve[name][-1]:,}" for name in ("env_steps", "updates"))
    return [*cells, *done, *(f"{curve[m][-1]:.3f}" for m in compare.MEASURES), seconds]


def _when(run: Mapping[str, Any], index: int | None) -> str:
    """'91,264: 40 s (25, 20)': env steps and `compare.clocks` of an evaluation; '-' if there is none."""
    if index is None:
        return "-"
    found = compare.clocks(run, index)
    rest = f"{found.without_compilation:,.0f}, {found.training:,.0f}"
    return f"{run['curve']['env_steps'][index]:,}: {found.all:,.0f} s ({rest})"


def ratios(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each of our runs and measure of success that both sides reached for good."""
    lines = []
    for ours in (run for run in runs.values() if run["library"] == "hindsight_jax"):
        place = (ours["task"], ours["seed"])
        theirs = [r for r in runs.values() if r["library"] == NAME and (r["task"], r["seed"]) == place]
        for other, measure in ((other, measure) for other in theirs for measure in compare.MEASURES):
            found = (compare.reached(run["curve"][measure]).lasting for run in (other, ours))
            indices = [index for index in found if index is not None]
            if len(indices) < 2:
                continue
            (all_, without, _), (our_all, our_without, _) = map(compare.clocks, (other, ours), indices)
            steps, our_steps = (run["curve"]["env_steps"][i] for run, i in zip((other, ours), indices, strict=True))
            lines.append(
                f"- {ours['name']}, seed {ours['seed']}, {WORDS[measure]}, from there on: JaxGCRL needs "
                f"{steps / our_steps:.1f} times the env steps and {all_ / our_all:.1f} times the seconds "
                f"({without / our_without:.1f} without compilation)."
            )
    return lines


def flags(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The flags of JaxGCRL's first run of each task, but for the seed."""
    found: dict[str, str] = {}
    for run in (run for run in runs.values() if run["library"] == NAME):
        given = (f"--{name} {value}" for name, value in run["settings"].items() if name != "seed")
        found.setdefault(run["task"], f"`{' '.join(given)}`")
    return ", ".join(found.values())


if __name__ == "__main__":
    sys.exit(main())
