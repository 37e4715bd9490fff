"""Where what studies found is kept: a JSON file for each, its picture, and the page.

The default and the paper's budget write into the repository, the quick one below its work directory. A file holds the
runs of its study's own folder, a line each; what it holds of runs that are not in the work directory stays.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reproduce import collect, driver, figures, page, studies
from experiments.reproduce.studies import Budget, Run, Study
from hindsight_jax.runs import strict_json
from hindsight_jax.runs.files import replace
from hindsight_jax.runs.workdir import WorkDir

ROOT = Path(__file__).parents[2]


class Places(NamedTuple):
    """The folders and the page that results are written to."""

    results: Path  # of the JSON files
    pictures: Path
    page: Path


def places(budget: Budget, workdir: Path) -> Places:
    """Those of the repository, or for the quick budget those of its work directory."""
    if budget == "quick":
        return Places(workdir, workdir, workdir / "results.md")
    return Places(ROOT / "experiments" / "results", ROOT / "docs", ROOT / "docs" / "results.md")


def load(runs: Iterable[Run], budget: Budget, folder: Path) -> dict[str, Any]:
    """path -> what is stored, of those runs that are."""
    found: dict[str, Any] = {}
    for home in dict.fromkeys(run.study for run in runs):
        found |= {f"{home}/{label}": run for label, run in _read(_file(folder, home, budget)).items()}
    return {run.path: found[run.path] for run in runs if run.path in found}


def check(known: Sequence[Study], budget: Budget, workdir: Path) -> None:
    """ValueError for a file or a page that results cannot be written to: before anything is trained."""
    to = places(budget, workdir)
    text = to.page.read_text() if to.page.exists() else ""
    for study in known:
        load(study.runs, budget, to.results)
    for name in (*(study.name for study in known), page.SUMMARY):
        page.replaced(text, page.key(name, budget), "")


def store(runs: Sequence[Run], budget: Budget, workdir: Path, folder: Path) -> None:
    """Writes each run that is done into its study's file."""
    done = [run for run in runs if driver.progress_of(run, budget, workdir).state == "done"]
    for home in dict.fromkeys(run.study for run in done):
        path = _file(folder, home, budget)
        results = _read(path)
        for run in done:
            if run.study == home:
                opened = WorkDir.open(workdir / run.path)
                results[run.label] = collect.digest(opened, {}, opened.read_records())
        lines = [f"{json.dumps(label)}: {json.dumps(strict_json.plain(run))}" for label, run in results.items()]
        replace(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def write(chosen: Sequence[Study], known: Sequence[Study], budget: Budget, workdir: Path) -> None:
    """Stores what is done of the chosen studies; writes the verdicts, and every study that shows one of those runs."""
    to = places(budget, workdir)
    runs = list({run.path: run for study in chosen for run in studies.runs_of(study, budget)}.values())
    store(runs, budget, workdir, to.results)
    homes = {run.study for run in runs}
    for study in known:
        shown = studies.runs_of(study, budget)
        if homes & {run.study for run in shown}:
            results, name = load(shown, budget, to.results), page.key(study.name, budget)
            if results:
                replace(to.pictures / f"{name}.png", figures.picture(study, results))
            _put(to.page, name, page.block(study, results, budget, f"{name}.png"))
    every = load([run for study in known for run in studies.runs_of(study, budget)], budget, to.results)
    _put(to.page, page.key(page.SUMMARY, budget), page.summary(known, every, budget))


def _put(path: Path, name: str, block: str) -> None:
    """Writes the block at its place in the page."""
    text = path.read_text() if path.exists() else "# Results\n"
    replace(path, page.replaced(text, name, block).encode())


def _file(folder: Path, study: str, budget: Budget) -> Path:
    return folder / f"{page.key(study, budget)}.json"


def _read(path: Path) -> dict[str, Any]:
    """label -> run; nothing where there is no file. Raises ValueError for a file that holds something else."""
    if not path.exists():
        return {}
    try:
        document = strict_json.restored(json.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"{path}: it is no JSON ({error}). Put back a copy, or delete it.") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path}: it is no JSON object of runs. Put back a copy, or delete it.")
    return document
