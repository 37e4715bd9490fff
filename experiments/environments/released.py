"""The simulators that door and claw are ports of, as their authors released them, played in C MuJoCo beside the ports:

python -m experiments.environments.released [--robel=DIR] [--gcsl=DIR] [--claw-run=RUN] [--door-run=RUN]
[--episodes=500] [--output=FILE]

DIR are clones of github.com/google-research/robel (with its submodule) and github.com/dibyaghosh/gcsl; RUN are finished
runs of hdm_claw and hdm_door, say, whose policies then play in both. Meshes are left out, which only the looks need,
but for a hull below claw's valve.

Dimension key: N episodes, T horizon.
"""

import argparse
import json
import math
import os
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("MUJOCO_GL", "disable")

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

import hindsight_jax
from hindsight_jax import backend, envs, presets, statistics, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError
from hindsight_jax.envs import action_sets, claw, door
from hindsight_jax.runs import jax_flags, provenance

CLAW = "robel/dclaw/assets/dclaw3xh_valve3_v0.xml"  # in a clone of robel
DOOR = "dependencies/multiworld/envs/assets/sawyer_xyz/sawyer_door_pull_hook.xml"  # in one of gcsl
ARM = (1.7244448, -0.92036369, 0.10234232, 2.11178144, 2.97668632, -0.38664629, 0.54065733)  # Sawyer's joints at first
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]  # observation, goal -> moves in [-1, 1]


class Simulator(Protocol):
    """One released simulator."""

    num_moves: int

    def reset(self) -> None: ...
    def step(self, move: np.ndarray) -> None: ...
    def observation(self) -> np.ndarray: ...
    def angle(self) -> float: ...


def read(path: Path) -> str:
    """A model with its includes, without what only its looks need: meshes, textures, and the overlay of a target pose.

    Raises FileNotFoundError if one is not there.
    """
    return ET.tostring(_element(path), encoding="unicode")


def _element(path: Path) -> ET.Element:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: it is not there. Clone the repository with `git clone --recursive`.")
    root = ET.fromstring(re.sub(r"<\?xml.*?\?>", "", path.read_text()))  # which some have behind a comment
    root.tag = "mujoco"
    _expand(root, path.parent)
    return root


def _expand(parent: ET.Element, folder: Path) -> None:
    """Puts in what the children include, in place, and takes out looks."""
    kept: list[ET.Element] = []
    for child in parent:
        if child.tag == "include":
            if "overlay" not in child.attrib["file"]:
                kept += list(_element(folder / child.attrib["file"]))
        elif child.tag not in ("mesh", "texture", "material") and "mesh" not in child.attrib:
            _expand(child, folder)
            kept.append(child)
    parent[:] = kept
    for name in ("material", "coordinate"):
        parent.attrib.pop(name, None)
    if parent.attrib.get("type") == "mesh":  # of a class of geoms
        del parent.attrib["type"]


class Claw:
    """DClawTurn of ROBEL: 40 substeps of 0.0025 s, targets within the joints' speed limit of the joints' angles."""

    num_moves = 9

    def __init__(self, clone: Path) -> None:
        """Raises FileNotFoundError if the model is not in the clone."""
        self.model = mujoco.MjModel.from_xml_string(read(clone / CLAW))
        self.data = mujoco.MjData(self.model)

    def reset(self) -> None:
        """The fingers in their first pose, the valve at 0."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = claw.START
        mujoco.mj_forward(self.model, self.data)

    def step(self, move: np.ndarray) -> None:
        """0.1 s towards the targets of nine moves."""
        joints = self.data.qpos[:9].copy()
        self.data.ctrl[:] = joints + np.clip(move * np.array(claw.SCALE) - joints, -claw.TRAVEL, claw.TRAVEL)
        mujoco.mj_step(self.model, self.data, 40)

    def observation(self) -> np.ndarray:
        """Nine joint angles, and (cos, sin) of the valve, f32[11]."""
        return np.array([*self.data.qpos[:9], math.cos(self.angle()), math.sin(self.angle())], np.float32)

    def angle(self) -> float:
        """The valve's angle in radians."""
        return float(self.data.qpos[9])


class Door:
    """SawyerDoorHook of multiworld in GCSL's version: an arm welded to a target, 50 substeps of 0.003 s.

    A step moves the target, and not the hand, by 0.02 m: a hand that is held up is pulled ever harder.
    """

    num_moves = 3

    def __init__(self, clone: Path) -> None:
        """Raises FileNotFoundError if the model is not in the clone."""
        self.model = mujoco.MjModel.from_xml_string(read(clone / DOOR))
        self.data = mujoco.MjData(self.model)
        self.model.eq_data[0, :11] = [0.0] * 6 + [1.0, 0.0, 0.0, 0.0, 1.0]  # as the environment does: hand on target

    def reset(self) -> None:
        """The hand led to its start for 1.5 s, then the door shut."""
        self.data.qpos[:7] = ARM
        self._lead(np.array(door.START[0]), 500)
        self.data.joint("doorjoint").qpos = 0.0
        self.data.joint("doorjoint").qvel = 0.0
        mujoco.mj_forward(self.model, self.data)

    def step(self, move: np.ndarray) -> None:
        """0.15 s with the target moved."""
        self._lead(np.clip(self.data.mocap_pos[0] + door.STEP * move, door.LOW, door.HIGH), 50)

    def _lead(self, target: np.ndarray, substeps: int) -> None:
        self.data.mocap_pos[0], self.data.mocap_quat[0] = target, (1.0, 0.0, 1.0, 0.0)
        mujoco.mj_step(self.model, self.data, substeps)

    def observation(self) -> np.ndarray:
        """The hand's place, and the door's angle, f32[4]."""
        return np.array([*self.data.body("hand").xpos, self.angle()], np.float32)

    def angle(self) -> float:
        """The door's angle in radians."""
        return float(self.data.joint("doorjoint").qpos[0])


def played(simulator: Simulator, act: Act, goals: np.ndarray, horizon: int) -> np.ndarray:
    """The angles of N episodes, one for each goal, [N, T + 1]."""
    paths = []
    for goal in goals:
        simulator.reset()
        path = [simulator.angle()]
        for _ in range(horizon):
            simulator.step(act(simulator.observation(), goal))
            path.append(simulator.angle())
        paths.append(path)
    return np.array(paths)


def in_port(env: Any, act: Callable[..., jax.Array], episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of our port, [N, T + 1], and whether each ended in success, bool[N]."""
    episodes_of = jax.jit(lambda key: training.rollout(env, act, key, episodes))
    rollout = episodes_of(jax.random.key(0))
    achieved = np.asarray(rollout.trajectories.achieved_goal)
    turned = np.arctan2(achieved[..., 1], achieved[..., 0]) if achieved.shape[-1] == 2 else achieved[..., 0]
    return np.unwrap(turned, axis=1), np.asarray(rollout.success_end)


def moved(angles: np.ndarray, threshold: float) -> dict[str, Any]:
    """How far random play moves door or valve: HDM's change ratio, and quartiles of the way at the end, in radians.

    >>> figures = moved(np.array([[0.0, 0.3, 0.2], [0.0, 0.2, 0.0]]), threshold=0.1)
    >>> figures["change_ratio"], figures["changed_at_any_step"], figures["moved_quartiles"]
    (0.5, 1.0, [0.05, 0.1, 0.15])
    """
    way = np.abs(angles - angles[:, :1])
    end = np.minimum(way[:, -1] % (2 * math.pi), -way[:, -1] % (2 * math.pi))
    return {
        "change_ratio": float(np.mean(end >= threshold)),
        "changed_at_any_step": float(np.mean(way.max(axis=1) >= threshold)),
        "moved_quartiles": [round(float(x), 4) for x in np.quantile(way[:, -1], (0.25, 0.5, 0.75))],
    }


def measure(simulator: Simulator, env: Any, episodes: int, saved: Any | None) -> dict[str, Any]:
    """Random play in the simulator and in our port, and the success of a run's policies at the end in both.

    `saved` is what `hindsight_jax.load` returned, or None for random play alone. Of success there are the policies'
    own, their mean, and its 95 % interval.
    """
    spec, random = env.spec, np.random.default_rng(0)
    goals = np.asarray(jax.vmap(env.sample_goal)(jax.random.split(jax.random.key(1), episodes)))
    at_random = lambda observation, goal: random.integers(-1, 2, simulator.num_moves).astype(float)
    ours, _ = in_port(env, lambda observation, goal, key: spec.action.sample(key), episodes)
    figures: dict[str, Any] = {
        "random_play_released": moved(played(simulator, at_random, goals, spec.horizon), spec.threshold),
        "random_play_port": moved(ours, spec.threshold),
    }
    if saved is None:
        return figures
    policies = [saved.policy(member) for member in range(len(saved.members.seeds))]
    successes = {
        "released": [success_in(simulator, env, policy, goals) for policy in policies],
        "port": [float(np.mean(in_port(env, policy, episodes)[1])) for policy in policies],
    }
    figures |= {"run": saved.name, "env_steps": int(saved.env_steps[0]), "success_end_of_policies": successes}
    intervals = {where: statistics.interval(each, rates=True) for where, each in successes.items()}
    return figures | {"success_end": {where: [round(float(x), 3) for x in found] for where, found in intervals.items()}}


def success_in(simulator: Simulator, env: Any, policy: Callable[..., jax.Array], goals: np.ndarray) -> float:
    """The share of the goals [N, *G] that the policy is at in the end."""
    kind, key = env.spec.action, jax.random.key(0)
    moves = jax.jit(lambda o, g: action_sets.moves(kind, policy(o, g, key), simulator.num_moves)[0])
    act = lambda observation, goal: np.asarray(moves(jnp.asarray(observation), jnp.asarray(goal)))
    angles = played(simulator, act, goals, env.spec.horizon)[:, -1]
    reached = np.stack([np.cos(angles), np.sin(angles)], -1) if goals.shape[-1] == 2 else angles[:, None]
    return float(jnp.mean(jax.vmap(env.success)(jnp.asarray(reached, jnp.float32), jnp.asarray(goals))))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments; exits with status 2 if they are invalid."""
    parser = argparse.ArgumentParser(prog="python -m experiments.environments.released")
    for name in ("--robel", "--gcsl", "--claw-run", "--door-run", "--output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--episodes", type=int, default=500)
    arguments = parser.parse_args(argv)
    if not arguments.robel and not arguments.gcsl:
        parser.error("give --robel, --gcsl, or both: the folders of their clones")
    for run, clone in (("claw_run", "robel"), ("door_run", "gcsl")):
        if getattr(arguments, run) and not getattr(arguments, clone):
            parser.error(f"--{run.replace('_', '-')}: its policies play in a clone; give --{clone}, too")
    if arguments.episodes < 1:
        parser.error(f"--episodes: got {arguments.episodes}, but it must be at least 1")
    if arguments.output and not arguments.output.parent.is_dir():
        parser.error(f"--output: there is no folder {arguments.output.parent}; make it first")
    return arguments


def load(run: Path | None, task: str) -> Any | None:
    """The run's last policies, or None. Raises ValueError if it cannot be read, or is a run of another task."""
    if run is None:
        return None
    saved = hindsight_jax.load(run, which="last")
    if presets.split(saved.name)[1] != task:
        raise ValueError(f"{run}: got a run of {saved.name}, but it must be one of {task}. Name another folder.")
    return saved


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the figures of the simulators that are given; the exit status."""
    arguments = parse(argv)
    jax_flags.avoid_deadlock()
    backend.start_or_exit()
    figures = {"episodes": arguments.episodes, "mujoco": mujoco.__version__} | provenance.describe()
    asked = {
        "claw": (Claw, arguments.robel, arguments.claw_run),
        "door": (Door, arguments.gcsl, arguments.door_run),
    }
    try:  # all that may be missing is read before anything plays
        given = {task: (make(clone), load(run, task)) for task, (make, clone, run) in asked.items() if clone}
    except (OSError, ValueError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    measured = {task: measure(made, envs.make(task), arguments.episodes, run) for task, (made, run) in given.items()}
    print(json.dumps(measured, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures | measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
