"""What a study found, in Markdown: its place in a page lies between `<!-- study NAME -->` and `<!-- end -->`.

Dimension key: S seeds, K tasks.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.reproduce import studies, verdicts
from experiments.reproduce.studies import Budget, Cell, Study
from experiments.theory.page import anchor
from hindsight_jax import checks, statistics
from hindsight_jax.runs import comparison
from hindsight_jax.runs.progress import duration

Results = Mapping[str, Mapping[str, Any]]  # path of a run -> what `collect.digest` made
END = "<!-- end -->"
COMMAND = "python -m experiments.reproduce"
SUMMARY = "verdicts"  # the marker of the table of all claims
DRAWN = ("gain", "ratio")  # figures of another study's runs, whose table is there
SCHEDULES = {"default": "", "paper": ", the paper's schedule", "quick": ", in miniature: its numbers say nothing"}


def key(name: str, budget: Budget) -> str:
    """What a study of a budget, or the table of all claims, is called in markers and files.

    >>> key("hdm-table-1", "default"), key("hdm-table-1", "paper")
    ('hdm-table-1', 'hdm-table-1-paper')
    """
    return name if budget == "default" else f"{name}-{budget}"


def replaced(page: str, name: str, block: str) -> str:
    """The page with `block` between the markers of `name`, which are appended where they are not; all else as it was.

    >>> replaced("One.\\n", "a", "New.") == "One.\\n\\n<!-- study a -->\\nNew.\\n<!-- end -->\\n"
    True
    """
    start = f"<!-- study {name} -->"
    if page.count(start) > 1:
        checks.fail("page", f"{page.count(start)} times {start}", "a study has one place", "Delete the others.")
    if start not in page:
        return f"{page.rstrip()}\n\n{start}\n{block}\n{END}\n"
    before, _, rest = page.partition(start)
    if END not in rest or "<!-- study" in rest.partition(END)[0]:
        checks.fail("page", start, f"{END} must follow", f"Write {END} where the study's place ends.")
    return f"{before}{start}\n{block}\n{END}{rest.partition(END)[2]}"


def block_of(page: str, name: str) -> str | None:
    """What stands between the markers of `name`; None if there are none."""
    found = re.search(rf"<!-- study {re.escape(name)} -->\n(.*?)\n{re.escape(END)}", page, re.DOTALL)
    return found[1] if found else None


def summary(known: Sequence[Study], results: Results, budget: Budget) -> str:
    """Every claim in a line, with its verdict: what a reader wants first.

    Args:
      results: path -> run, of all studies.
    """
    asked = [study for study in known if studies.runs_of(study, budget)]
    found = [(study, verdicts.verdict(claim, results)) for study in asked for claim in study.claims]
    words = [verdict.word for _, verdict in found]
    waiting = [verdict for _, verdict in found if verdict.word == "open"]
    missing = sum(any(pair.apart is None for pair in verdict.pairs) for verdict in waiting)
    lines = [
        f"### Every claim, and its verdict{SCHEDULES[budget]}",
        "",
        f"Of {len(words)} claims {words.count('holds')} hold, {words.count('does not hold')} do not, and "
        f"{len(waiting)} are open, {missing} of these since runs are missing. A claim about several pairs of runs "
        "holds if each pair does.",
        "",
        "| study | claim | pairs that hold | a seed is above | |",
        "|---|---|---|---|---|",
    ]
    named = ""
    for study, verdict in found:
        heading = _heading(study, budget)
        source = f"{study.source}, {study.name}" if study.source == "Ours" else study.source
        link = f"[{source}](#{anchor(heading)})" if heading != named else ""
        named = heading
        run = sum(pair.apart is not None for pair in verdict.pairs)
        held = f"{sum(pair.word == 'holds' for pair in verdict.pairs)} of {len(verdict.pairs)}"
        left = "" if run == len(verdict.pairs) else f", {len(verdict.pairs) - run} not run"
        chance = _chance(verdict.chance)
        lines.append(f"| {link} | {verdict.claim.text} | {held}{left} | {chance} | **{verdict.word}** |")
    return "\n".join(lines)


def _heading(study: Study, budget: Budget) -> str:
    return f"{study.source}: {study.title}{SCHEDULES[budget]}"


def block(study: Study, results: Results, budget: Budget, picture: str) -> str:
    """The text of a study: its question, tables, picture and claims, of the runs that are done.

    Args:
      results: path -> run; those of other studies are not read.
      picture: the address of its picture.
    """
    runs = studies.runs_of(study, budget)
    done = {run.path: results[run.path] for run in runs if run.path in results}
    option = "" if budget == "default" else f" --budget={budget}"
    lines = [f"### {_heading(study, budget)}", "", study.asks, ""]
    lines += [f"`{COMMAND} --only={study.name}{option}`: {len(done)} of {len(runs)} runs are done{_origin(done)}.", ""]
    if not done:
        return "\n".join(lines).rstrip()
    panels = () if study.figure in DRAWN else dict.fromkeys(cell.panel for cell in study.cells)
    for panel in panels:
        lines += [*table(study, panel, done), ""]
    lines += [f"![{study.title}]({picture})", "", *claims(study, done)]
    return "\n".join(lines).rstrip()


def _origin(done: Results) -> str:
    """How long the runs took, and whose they are."""
    if not done:
        return ""
    seconds = sum(run["seconds"][-1] for run in done.values())
    commits = ", ".join(dict.fromkeys(f"{run['commit'] or 'none'}"[:7] for run in done.values()))
    return f", {duration(seconds)} in all, by commit {commits}"


def table(study: Study, panel: str, done: Results) -> list[str]:
    """Rows by columns: mean over seeds with its interval, then the paper's number in brackets where it prints one."""
    cells = {(cell.row, cell.column): cell for cell in study.cells if cell.panel == panel}
    rows, columns = (list(dict.fromkeys(place[i] for place in cells)) for i in range(2))
    shared = [c for c in columns if all((r, c) in cells and cells[r, c].run.path in done for r in rows)]
    pooled = study.figure != "sweep" and len(shared) > 1
    titles = [column or "at any" for column in columns] + ([f"IQM of {len(shared)} tasks"] if pooled else [])
    lines = [f"| {panel or study.axis} | {' | '.join(titles)} |", "|" + "---|" * (len(titles) + 1)]
    for row in rows:
        texts = [_cell(study, cells.get((row, column)), done) for column in columns]
        if pooled:
            texts.append(_pooled([verdicts.success(done[cells[row, column].run.path]) for column in shared]))
        lines.append(f"| {row} | {' | '.join(texts)} |")
    return lines


def _cell(study: Study, cell: Cell | None, done: Results) -> str:
    """'0.889 (0.850 to 0.928) [0.660 ± 0.051]', or '-' for a run that is not done."""
    if cell is None:
        return ""
    found = done.get(cell.run.path)
    text = spread(_interval(found)) if found else "-"
    printed = study.printed.get((cell.row, cell.column))
    return f"{text} [{printed[0]:.3f} ± {printed[1]:.3f}]" if printed else text


def _interval(found: Mapping[str, Any]) -> statistics.Interval:
    """Of one run's success over its seeds."""
    return statistics.interval(verdicts.success(found), nan_policy="propagate", rates=True)


def _pooled(columns: Sequence[np.ndarray]) -> str:
    """The interquartile mean over seeds and tasks, with its bootstrap interval."""
    values = np.stack(columns, axis=1)  # [S, K]
    return spread(statistics.bootstrap_iqm(values, rates=True)) if np.isfinite(values).all() else "a seed failed"


def claims(study: Study, done: Results) -> list[str]:
    """A table of the claims, with a line for each pair that is done."""
    lines = ["| claim | runs | apart, seed by seed | a seed is above | |", "|---|---|---|---|---|"]
    for claim in study.claims:
        found = verdicts.verdict(claim, done)
        told = [(pair, pair.apart) for pair in found.pairs if pair.apart is not None]
        count = "" if len(told) == len(found.pairs) else f"{len(told)} of {len(found.pairs)} pairs are done"
        chance = _chance(found.chance) if len(found.pairs) > 1 else ""
        lines.append(f"| {claim.text} | {count} | | {chance} | **{found.word}** |")
        for pair, apart in told:
            names = " : ".join(path.partition("/")[2] for path in (pair.better, pair.worse) if path)
            lines.append(f"| | {names} | {spread(apart)} | {_chance(pair.chance)} | {pair.word} |")
    return lines


def _chance(found: statistics.Interval | None) -> str:
    return spread(found, 2) if found else ""


def spread(found: statistics.Interval, digits: int = 3) -> str:
    """'0.712 (0.650 to 0.774)', or the mean alone where there is no interval.

    >>> spread(statistics.interval([0.5, 0.7, 0.9], 0.5), 2)
    '0.70 (0.61 to 0.79)'
    """
    return "a seed failed" if np.isnan(found.mean) else comparison.spread(found, digits)
