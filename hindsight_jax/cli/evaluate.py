"""`hindsight-jax evaluate DIR`: plays the policies of a run anew, on new goals or on yours, and may draw them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, presets, statistics
from hindsight_jax.cli import commands
from hindsight_jax.runs import streams, summary
from hindsight_jax.runs.comparison import spread
from hindsight_jax.runs.jax_flags import configure_jax
from hindsight_jax.runs.workdir import WorkDir

MAX_GOALS = 12  # of a video


def main(argv: Sequence[str]) -> int:
    """Prints a table, and writes the video; returns 2 for arguments that do not fit the run, 1 if it has no policy."""
    arguments = parse(argv)
    configure_jax(1)
    # Imported here: orbax takes a second, which --help need not wait for.
    from hindsight_jax.checkpoints.checkpoints import CheckpointError
    from hindsight_jax.runs import evaluation
    from hindsight_jax.runs.load import load

    try:
        saved = load(arguments.run, which=arguments.which)
        goals = None if arguments.goal is None else evaluation.checked_goals(saved, arguments.goal)
        _check_video(arguments, saved, goals)
        options = {"episodes": arguments.episodes, "seed": arguments.seed}
        for goal in [None] if goals is None else goals:
            if goal is not None:
                streams.print_line(f"goal {','.join(f'{x:g}' for x in np.ravel(goal))}{_out_of_reach(saved, goal)}")
            for line in table(saved, evaluation.evaluate(saved, **options, goal=goal)):
                streams.print_line(line)
        if arguments.video is not None:
            write_video(arguments, saved, goals)
    except (CheckpointError, OSError) as error:
        return commands.failed(error, 1)
    except ValueError as error:
        return commands.failed(error)
    return 0


def _out_of_reach(saved: Any, goal: Any) -> str:
    """What the task knows of a goal that no state achieves; '' otherwise."""
    return "" if bool(saved.setup.env.reachable(goal)) else ": no state of the task achieves it"


def table(saved: Any, found: Any) -> list[str]:
    """A row for each setting: means over seeds with intervals, and the success of each seed."""
    head = ("setting", "seeds", "success at the end", "at any step", "distance at the end", "each seed, at the end")
    settings = saved.members.settings
    rows: list[tuple[str, ...]] = [head]
    for setting in {presets.label(each): each for each in settings}.values():
        mine = [i for i, each in enumerate(settings) if each == setting]
        rates = [statistics.interval(values[mine], rates=True) for values in (found.success_end, found.success_any)]
        distance = statistics.interval(found.distance_end[mine])
        each = " ".join(f"{found.success_end[i]:.3f}" for i in mine)
        label = presets.label(setting) or saved.name
        rows.append((label, str(len(mine)), *map(spread, rates), spread(distance), each))
    return commands.aligned(rows)


def write_video(arguments: argparse.Namespace, saved: Any, goals: Any) -> None:
    """Draws the member's policy on the goals, and says where."""
    from hindsight_jax.runs import video
    from hindsight_jax.runs.files import explain_errors, replace
    from hindsight_jax.runs.session import FRAMES_PER_SECOND

    member = shown(arguments)
    key = jax.random.key(arguments.seed)
    frames = video.record_video(saved.setup.env, saved.policy(member), key, goals)
    with explain_errors(arguments.video, "cannot be written"):
        arguments.video.parent.mkdir(parents=True, exist_ok=True)
    replace(arguments.video, video.encode_gif(frames, FRAMES_PER_SECOND))
    setting = presets.label(saved.members.settings[member])
    streams.print_line(f"seed {saved.members.seeds[member]}{setting and ', '}{setting}: {arguments.video}")


def shown(arguments: argparse.Namespace) -> int:
    """The member that the video shows."""
    if arguments.member is not None:
        return arguments.member
    return summary.shown_member(WorkDir.open(arguments.run).read_records())


def _check_video(arguments: argparse.Namespace, saved: Any, goals: Any) -> None:
    """ValueError, before anything plays, for a video that cannot be drawn."""
    from hindsight_jax.runs import video

    if arguments.video is None:
        return
    if arguments.video.suffix != ".gif":
        checks.fail("--video", checks.short(str(arguments.video)), "it must be a GIF", "Write --video=goals.gif.")
    reason = video.why_no_picture(saved.setup.env)
    if reason:
        checks.fail("--video", str(arguments.video), reason, "Leave --video out.")
    if goals is not None and len(goals) > MAX_GOALS:
        checks.fail("--video", f"{len(goals)} goals", f"a video has at most {MAX_GOALS}", "Draw them in parts.")
    saved.policy(shown(arguments))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments; ends with exit code 2 if they are invalid."""
    parser = commands.Parser("evaluate", "Plays the greedy policies of a run on new starts and goals.")
    parser.add_argument("run", metavar="DIR", help="the run's directory")
    parser.add_argument("--which", choices=("best", "last"), default="last", help="each member's best, or its last")
    parser.add_argument("--episodes", type=int, default=1000, help="of each member")
    parser.add_argument("--seed", type=int, default=0, help="of the starts and goals")
    parser.add_argument("--goal", type=numbers, action="append", metavar="X,Y,..", help="this goal alone; repeatable")
    parser.add_argument("--video", type=Path, metavar="FILE.gif", help="draw a policy; a report shows DIR/videos/*.gif")
    parser.add_argument("--member", type=int, default=None, help="of the video; by default the median seed")
    return parser.parse_args(argv)


def numbers(text: str) -> list[float]:
    """'0.5,1' -> [0.5, 1.0]."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, but it must be numbers such as 0.5,1") from None
