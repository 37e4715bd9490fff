"""`hindsight-jax compare DIR [LABEL=DIR ...]`: how runs, or the settings of a grid, ended, and which is better.

With --fresh the last policies play new episodes. The best of many evaluations, or of many settings, is chosen by noise
as well as by merit: what it does on goals that had no part in the choice does not flatter.
"""

from collections.abc import Mapping, Sequence

from hindsight_jax import statistics
from hindsight_jax.cli import commands
from hindsight_jax.runs import comparison, sources, streams
from hindsight_jax.runs.comparison import LAST, spread
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.jax_flags import configure_jax
from hindsight_jax.runs.sources import Line

MEASURES = {"end": "success_end", "any": "success_any"}


def main(argv: Sequence[str]) -> int:
    """Prints two tables; returns 2 for a directory without a run or an unknown label."""
    parser = commands.Parser("compare", "Which of several runs, or settings of a grid, is better.")
    parser.add_argument("runs", nargs="+", metavar="[LABEL=]DIR", help="a run's directory, or one that holds several")
    parser.add_argument("--against", metavar="LABEL", help="the line to compare with each other; by default the best")
    parser.add_argument("--measure", choices=sorted(MEASURES), default="end", help="success at the end, or at any step")
    parser.add_argument("--fresh", type=int, metavar="EPISODES", help="play the last policies on so many new goals")
    arguments = parser.parse_args(argv)
    measure = MEASURES[arguments.measure]
    try:
        lines = sources.lines(sources.read(arguments.runs))
        _check_label(arguments.against, lines)
        fresh = {} if arguments.fresh is None else played(lines, measure, arguments.fresh)
    except (ValueError, WorkDirError) as error:
        return commands.failed(error)
    texts = standings(lines, measure, fresh)
    for group in comparison.by_task(lines):
        texts += differences(group, arguments.against, measure)
    for text in texts:
        streams.print_line(text)
    return 0


def _check_label(label: str | None, lines: Sequence[Line]) -> None:
    """ValueError for a label that no line has."""
    labels = [line.label for line in lines]
    if label is not None and label not in labels:
        rule = f"it must be one of: {'; '.join(labels)}. Quote a label that holds spaces"
        raise ValueError(f"--against: got {label!r}, but {rule}.")


def played(lines: Sequence[Line], measure: str, episodes: int) -> dict[str, statistics.Interval]:
    """Label -> success of the last policies on new starts and goals, the same for all lines of a task.

    Raises ValueError for a number of episodes that is none, and a run without a good checkpoint.
    """
    configure_jax(1)
    # Imported here: orbax takes a second, which --help need not wait for.
    from hindsight_jax.checkpoints.checkpoints import CheckpointError
    from hindsight_jax.runs import evaluation
    from hindsight_jax.runs.load import load

    found = {}
    for path in dict.fromkeys(line.source.path for line in lines):
        try:
            found[path] = getattr(evaluation.evaluate(load(path, "last"), episodes=episodes), measure)
        except CheckpointError as error:
            raise ValueError(str(error)) from error
    members = {line.label: sorted({record["member"] for record in line.records}) for line in lines}
    return {line.label: statistics.interval(found[line.source.path][members[line.label]], rates=True) for line in lines}


def standings(lines: Sequence[Line], measure: str, fresh: Mapping[str, statistics.Interval]) -> list[str]:
    """A table of how each line ended, and what its policies did anew."""
    head = ("", "seeds", "env steps", "last evaluation", f"mean of the last {LAST}", *(["anew"] if fresh else []))
    rows: list[tuple[str, ...]] = [(*head, "not finite")]
    for line in lines:
        found = comparison.standing(line, measure)
        failed = " ".join(map(str, found.failed_seeds))
        counts = (str(len(found.seeds)), f"{found.env_steps:,}")
        anew = [spread(fresh[line.label])] if fresh else []
        rows.append((line.label, *counts, spread(found.last), spread(found.recent), *anew, failed))
    return commands.aligned(rows)


def differences(lines: Sequence[Line], against: str | None, measure: str) -> list[str]:
    """A table of how far one line of a task, by default the best, is above the others; none if it is alone."""
    named = next((line for line in lines if line.label == against), None)
    first = comparison.best(lines, measure) if against is None else named
    others = [line for line in lines if line is not first]
    if first is None or not others:
        return []
    rows = [
        (f"{first.label} above", "last evaluation", f"mean of the last {LAST}", "probability that it is better", "")
    ]
    for line in others:
        found = comparison.difference(first, line, measure)
        by = "seed by seed" if found.paired else "seeds unpaired"
        rows.append((line.label, spread(found.last), spread(found.recent), spread(found.improvement, 2), by))
    return ["", *commands.aligned(rows), *(_chosen(lines, first, measure) if against is None else [])]


def _chosen(lines: Sequence[Line], first: Line, measure: str) -> list[str]:
    """Says that the best was chosen in hindsight, and which lines are as good."""
    mean = comparison.standing(first, measure).recent.mean
    tied = [line.label for line in lines if comparison.standing(line, measure).recent.mean == mean]
    if len(tied) > 1:
        return ["", f"Tied, over the last evaluations: {'; '.join(tied)}."]
    return ["", f"{first.label} is the best of the last evaluations, chosen in hindsight."]
