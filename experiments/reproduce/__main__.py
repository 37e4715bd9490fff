"""Reproduces the tables and figures of both papers, and our own studies, by one command.

    python -m experiments.reproduce --list
    python -m experiments.reproduce --budget=quick
    python -m experiments.reproduce --only=hdm-table-1

It goes on where it was stopped: what is done is skipped, what was cut off is resumed. Two of it, started at one work
directory, share the runs. What it finds goes into docs/results.md, docs/STUDY.png and experiments/results/STUDY.json.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.reproduce import driver, hdm_studies, hem_studies, our_studies, stored, studies
from experiments.reproduce.driver import Progress
from experiments.reproduce.studies import BUDGETS, Budget, Study
from hindsight_jax import fields
from hindsight_jax.runs import batch
from hindsight_jax.runs.files import WorkDirError, explain_errors
from hindsight_jax.runs.progress import duration

STUDIES: tuple[Study, ...] = (*hdm_studies.STUDIES, *hem_studies.STUDIES, *our_studies.STUDIES)
FOLDERS: dict[Budget, str] = {
    "quick": "runs/reproduce-quick",
    "default": "runs/reproduce",
    "paper": "runs/reproduce-paper",
}


def main(argv: Sequence[str] | None = None, runner: batch.Runner | None = None) -> int:
    """Runs the command; 0: done, 1: a run failed, 2: bad arguments, 143 or 130: after SIGTERM or SIGINT."""
    arguments = _parser().parse_args(argv)
    try:
        names = [*(arguments.only or ()), *arguments.more]
        chosen = _chosen(names)
        budget, workdir = arguments.budget, (arguments.workdir or Path(FOLDERS[arguments.budget])).absolute()
        if arguments.list:
            print(list_text(chosen, budget, workdir, each_run=bool(names)))
            return 0
        if arguments.write:
            stored.write(chosen, STUDIES, budget, workdir)
            return 0
        previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            return reproduce(chosen, budget, workdir, runner or driver.subprocess_runner(budget))
        finally:
            signal.signal(signal.SIGTERM, previous)
    except (ValueError, WorkDirError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="print the studies, what is done and what is left, and end")
    parser.add_argument(
        "--write", action="store_true", help="train nothing: write what is done, of whole studies and of begun ones"
    )
    parser.add_argument("--only", metavar="NAME", nargs="+", action="extend", help="these studies alone")
    parser.add_argument("more", metavar="NAME", nargs="*", help=argparse.SUPPRESS)  # of --only=NAME NAME
    parser.add_argument(
        "--budget",
        choices=BUDGETS,
        default="default",
        help="quick: some runs of every study in miniature, minutes; default: the tuned schedules; paper: the papers'",
    )
    parser.add_argument("--workdir", type=Path, metavar="DIR", help="runs train in DIR/STUDY/LABEL")
    return parser


def _chosen(names: Sequence[str]) -> tuple[Study, ...]:
    """The studies of these names, in their own order; all of them for none."""
    known = {study.name: study for study in STUDIES}
    wanted = [part for name in names or known for part in name.split(",")]
    for name in wanted:
        if name not in known:
            near = fields.did_you_mean(name, known, "--only=")
            raise ValueError(f"--only: got {name!r}, but it must be one of {', '.join(known)}. {near}".strip())
    return tuple(study for study in STUDIES if study.name in wanted)


def reproduce(chosen: Sequence[Study], budget: Budget, workdir: Path, runner: batch.Runner) -> int:
    """Trains what is left of the studies and writes what they found. Returns the exit code, 0 or 1."""
    failed: dict[str, str] = {}
    locked: list[studies.Run] = []
    tried: set[str] = set()
    starts: list[float] = []
    every = runs_of(chosen, budget)
    stored.check(STUDIES, budget, workdir)
    with explain_errors(workdir, "cannot make the work directory"):
        workdir.mkdir(parents=True, exist_ok=True)
    print(f"{len(chosen)} studies, budget {budget}, in {workdir}: {left_text(every, budget, workdir)}", flush=True)
    for study in chosen:
        mine = [run for run in studies.runs_of(study, budget) if run.path not in tried]
        try:
            for run, trouble, start in driver.train(mine, budget, workdir, runner=runner, say=_say):
                tried.add(run.path)
                if trouble == batch.LOCKED:
                    locked.append(run)
                elif trouble:
                    failed[run.path] = trouble
                    _say(f"{run.path}: {trouble}")
                if start is not None:
                    starts.append(start)
                    _say(left_text(every, budget, workdir, sum(starts) / len(starts)))
        finally:
            stored.write([study], STUDIES, budget, workdir)
        _say(f"{study.name}: written to {stored.places(budget, workdir).page}")
    for run in locked:
        if driver.progress_of(run, budget, workdir).state != "done":
            _say(f"{run.path}: left to the process that trains it; start this again when it is done")
    for path, trouble in failed.items():
        print(f"error: {path}: {trouble}", file=sys.stderr)
    return 1 if failed else 0


def runs_of(chosen: Sequence[Study], budget: Budget) -> list[studies.Run]:
    """Every run of the studies, once."""
    return list({run.path: run for study in chosen for run in studies.runs_of(study, budget)}.values())


def left_text(runs: Sequence[studies.Run], budget: Budget, workdir: Path, start: float = 0.0) -> str:
    """'3 of 30 runs done, about 2h 05m left', if the process of each takes `start` seconds to begin."""
    return _left([driver.progress_of(run, budget, workdir) for run in runs], budget, start)


def _left(found: Sequence[Progress], budget: Budget, start: float = 0.0) -> str:
    done = sum(one.state == "done" for one in found)
    seconds, unknown = driver.seconds_left(found, budget, start)
    parts = [f"{done} of {len(found)} runs done"]
    parts += [f"about {duration(seconds)} left"] if seconds else []
    parts += [f"{'and ' if seconds else ''}{unknown} whose time is not known"] if unknown else []
    return ", ".join(parts)


def list_text(chosen: Sequence[Study], budget: Budget, workdir: Path, each_run: bool) -> str:
    """A line for each study, and for each of its runs if they are asked for."""
    lines = [f"Budget {budget}, in {workdir}:"]
    for study in chosen:
        found = [driver.progress_of(run, budget, workdir) for run in studies.runs_of(study, budget)]
        told = _left(found, budget) if found else "no paper has its schedule"
        lines.append(f"  {study.name:16}{study.source}: {study.title}\n  {'':16}{told}")
        if each_run:
            lines += [f"  {'':16}{one.run.path:44}{one.state:12}{one.share:4.0%}" for one in found]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
