"""What the tasks are before anybody trains on them: python -m experiments.environments [--tasks push door]
[--episodes=1000] [--rounds=8] [--output=FILE] [--plot=PNG] [--page=MD]; and a picture of all:
python -m experiments.environments --sheet=PNG.

For each task, with a policy that draws every action at random: success at the end and at any step, and HDM's initial
achieved-goal change ratio (section 5.3),

    P(phi(s_T) is not phi(s_0)) = E[-r_HER(., ., s_0, s_T)]

where two achieved goals are the same if the one would be a success for the other. Then the share of goals that geometry
allows at all (`env.reachable`), and how fast the task steps and is drawn: each pair of speeds is measured in turn and
the best of several rounds is kept, so compare figures of one run only.

Dimension key: N episodes, T horizon, G goal dims, P pixels of an image's side.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

os.environ.setdefault("MUJOCO_GL", "disable")

import jax
from rich.console import Console
from rich.table import Table

from experiments.bench.timing import ROUNDS, best_of
from experiments.environments import gallery
from experiments.environments import report as report
from experiments.environments import speed as env_speed
from hindsight_jax import envs, rendering, training
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.runs import jax_flags, provenance

BATCHES = (1, 64, 256, 1024)
GOALS = 10_000  # drawn for the reachable share
IMAGES, SIDE = 64, 48  # a batch of image observations, and P


class Sanity(NamedTuple):
    """Shares of N episodes of a random policy, and of the goals."""

    success_start: float  # at s_0, where it does not count
    success_end: float
    success_any: float
    change_ratio: float
    reachable: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints the tables, and writes what is asked for; the exit status."""
    jax_flags.avoid_deadlock()
    arguments = parse(argv)
    if arguments.sheet:
        arguments.sheet.write_bytes(gallery.draw({name: envs.make(name) for name in arguments.tasks}))
        return 0
    here = {"episodes": arguments.episodes} | provenance.describe(sys.argv[1:] if argv is None else argv)
    if arguments.load:
        figures = json.loads(arguments.load.read_text())
        if arguments.tasks:
            figures["again"] = figures.get("again", {}) | dict.fromkeys(arguments.tasks, here)
    else:
        figures = here | {"tasks": {}}
    figures["tasks"] |= {name: measure(name, arguments.episodes, arguments.rounds) for name in arguments.tasks}
    show(Console(file=sys.stdout, width=140), figures["tasks"])
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.plot:
        arguments.plot.write_bytes(report.plot(figures["tasks"]))
    if arguments.page:
        arguments.page.write_text(report.rewritten(arguments.page.read_text(), figures["tasks"]))
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; exits with 2 for those that make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.environments", description="What the tasks are before anybody trains on them."
    )
    which = "to measure or to draw; all by default, and with --load none"
    parser.add_argument("--tasks", nargs="+", choices=envs.names(), metavar="TASK", help=which)
    parser.add_argument("--episodes", type=int, default=1000, help="of the random policy, per task")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of which the fastest is kept, for each speed")
    parser.add_argument("--load", type=pathlib.Path, help="figures of an earlier --output, for all but --tasks")
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file for the figures")
    parser.add_argument("--plot", type=pathlib.Path, help="a PNG of the figures")
    parser.add_argument("--page", type=pathlib.Path, help="a Markdown page whose table of figures is rewritten")
    parser.add_argument("--sheet", type=pathlib.Path, help="only this: a PNG of all tasks, a tile each")
    arguments = parser.parse_args(argv)
    if arguments.tasks is None:
        arguments.tasks = [] if arguments.load else list(envs.names())
    for name in ("episodes", "rounds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: got {getattr(arguments, name)}, but it must be at least 1")
    if arguments.sheet and (arguments.load or arguments.output or arguments.plot or arguments.page):
        parser.error("--sheet: it measures nothing; leave out --load, --output, --plot and --page, or call twice")
    for name in ("load", "page"):
        path = getattr(arguments, name)
        if path and not path.is_file():
            parser.error(f"--{name}: got {path}, but there is no such file")
    return arguments


def measure(name: str, episodes: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """All figures of one task."""
    env = envs.make(name)
    figures: dict[str, Any] = sanity(env, episodes)._asdict()
    figures["images_per_second"] = images_per_second(env, rounds)
    figures["speed"] = {str(batch): speed._asdict() for batch, speed in env_speed.measure(env, BATCHES, rounds).items()}
    jax.clear_caches()  # the next task's programs are others
    return figures


def sanity(env: GoalEnv, episodes: int) -> Sanity:
    """What chance does: N episodes of a policy that draws its actions uniformly."""
    policy = lambda observation, goal, key: env.spec.action.sample(key)

    @jax.jit
    def shares(key: jax.Array) -> tuple[jax.Array, ...]:
        key_rollout, key_goals = jax.random.split(key)
        played = training.rollout(env, policy, key_rollout, episodes)
        achieved, goal = played.trajectories.achieved_goal, played.trajectories.desired_goal
        first = achieved[:, 0]
        last = jax.vmap(lambda path, end: path[end])(achieved, played.trajectories.length)
        same = jax.vmap(env.success)(last, first)
        goals = jax.vmap(env.sample_goal)(jax.random.split(key_goals, GOALS))
        at_start = jax.vmap(env.success)(first, goal)
        reachable = jax.vmap(env.reachable)(goals)
        return at_start.mean(), played.success_end.mean(), played.success_any.mean(), (~same).mean(), reachable.mean()

    return Sanity(*(round(float(share), 6) for share in shares(jax.random.key(0))))


def images_per_second(env: GoalEnv, rounds: int) -> float:
    """Image observations of P x P pixels, one after the other on the device."""
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), IMAGES))
    picture = lambda state: rendering.render(env.scene(state), env.camera(), SIDE, SIDE)
    draw = jax.jit(lambda states: jax.lax.map(picture, states))
    return IMAGES / best_of(lambda: draw(states), rounds=rounds)[0]


def show(console: Console, tasks: dict[str, Any]) -> None:
    """The figures of all tasks, in two tables that fit."""
    for title, part in (("a random policy, shares", slice(1, 6)), ("speed", slice(6, None))):
        table = Table("task", title=title, title_justify="left")
        for column in report.COLUMNS[part]:
            table.add_column(column, justify="right")
        for name, *cells in report.rows(tasks):
            table.add_row(name, *[name, *cells][part])
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
