"""A trained policy as one ONNX file, which runs without JAX. Needs `onnx` (extra `export`).

    exported = export("runs/push", "push.onnx", member=0)
    agreement(exported)       on how many of 1,000 random inputs onnxruntime gives JAX's action
    read_metadata("push.onnx")["task"]

Dimension key: B batch, O observation dims, G goal dims, D action dims, K bins per dim; P pixels of a picture's side, F
frames of an observation.

A file is a function of observation [B, *O] and goal [B, *G] that gives the action [B, D] of a policy that does not
explore: with everything that its `act` does to its inputs, and metadata that say what they are. docs/after_training.md
plays one.
"""

import functools
import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, numerics, presets, types
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.envs.images import ImageEnv
from hindsight_jax.interop import _equations, _onnx_graph
from hindsight_jax.interop._onnx_graph import onnx
from hindsight_jax.runs import config_file, load

FORMAT = 1  # of the metadata
KEY = "hindsight_jax"  # of the file's entry that holds them
TOLERANCE = 1e-5  # of a continuous action
ROWS = 100  # inputs that are played at once
TILES = 6  # along a side of a random image: of noise in each pixel an encoder sees the same as of grey


class Exported(NamedTuple):
    """A file that `export` has written, and the policy that it holds."""

    path: Path
    metadata: dict[str, Any]
    policy: load.Policy


def export(
    workdir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    member: int = 0,
    which: Literal["best", "last"] = "best",
) -> Exported:
    """Writes the policy of one member of a run, which does not explore, to an ONNX file.

    The file's inputs are `observation` f32[B, *O] and `goal` f32[B, *G] in the task's units, or u8[B, P, P, 3 F] and
    u8[B, P, P, 3] where a policy sees images; its output is `action`, i32[B, D] in 0..K-1 or f32[B, D] in [-1, 1]. B is
    any number. Inputs must be finite. The file is of opset 18, and has no operations but ONNX's own.

    Args:
      workdir: of the run, as `hindsight_jax.load` takes it.
      output: the file, whose name ends in .onnx; one that is there is replaced.
      member: counted from 0.
      which: `best`, the member at the evaluation with its highest success, or `last`.

    Raises:
      ValueError: an argument is not as above; no such run or member; a policy that draws its actions at random, or
        whose `act` computes what a file cannot hold.
      CheckpointError: the run has no checkpoint, or every one is damaged.
      BackendError: JAX has no device to compute on.
      OSError: the file cannot be written.

        export("runs/push", "push.onnx").metadata["env_steps"]
    """
    path = _output(output)
    backend.start()
    run = load.load(workdir, which)
    policy = run.policy(member)
    metadata = _metadata(run, int(member), which, _commit(Path(workdir)))
    data = _model(policy, run.setup.env.spec, metadata).SerializeToString()
    temporary = path.with_name(f".{path.name}.tmp")  # so that the file is whole whenever it is there
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return Exported(path, metadata, policy)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file's policy is, and how to feed it.

    * name, task, config: of the run; member, seed, setting: which member of it, and its values of the run's grid.
    * which, env_steps, commit: "best" or "last", the env steps that it was trained for, and the commit that trained it
      (None: not known).
    * inputs, outputs: by name, each with shape, dtype, low, high (the usual range, or of an output the exact one) and
      meaning.
    * horizon, threshold, ends_at_success: steps of an episode; success is a distance below the threshold, in the task's
      units; whether an episode ends there.
    * description: of the task, its units and its actions, as its source has it.

    Raises ValueError for a file that is none, or has no such metadata.
    """
    checks.path("path", path, "Name the file that export has written.")
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own errors, too
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        checks.fail("path", path, f"it is no ONNX file ({why})", "Name the file that export has written.")
    entries = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in entries:
        checks.fail("path", path, f"it has no metadata {KEY!r}", "Name the file that export has written.")
    return json.loads(entries[KEY])


def agreement(exported: Exported, count: int = 1000, seed: int = 0) -> int:
    """On how many of `count` random inputs onnxruntime gives the same action as JAX.

    Inputs are uniform: each coordinate in its usual range, each of 6 x 6 tiles of an image in 0..255. Discrete actions
    must be equal, continuous ones to 1e-5. Both programs compute in float32 and sum in orders of their own. Where two
    actions have values as near as their rounding, either may win; such a near-tie counts as a difference. Among random
    inputs it is rare.

    Raises ValueError for a count or a seed that is no number of them, and ImportError without `onnxruntime`.
    """
    count = checks.positive_int("count", count, "1000 are enough.")
    seed = checks.whole("seed", seed, 0, checks.INT32_MAX, "Leave it out for 0.")
    try:
        import onnxruntime
    except ImportError as error:
        remedy = "pip install onnxruntime, or hindsight-jax with the extra export."
        raise ImportError(f"agreement needs onnxruntime: {remedy}") from error
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    play = jax.jit(jax.vmap(exported.policy, in_axes=(0, 0, None)))
    key, generator, agreed = numerics.key(0), np.random.default_rng(seed), 0
    for first in range(0, count, ROWS):
        rows = min(ROWS, count - first)
        inputs = {name: _draw(generator, rows, part) for name, part in exported.metadata["inputs"].items()}
        (found,) = session.run(["action"], inputs)
        expected = np.asarray(play(inputs["observation"], inputs["goal"], key))
        agreed += int(_same(np.asarray(found), expected).sum())
    return agreed


def _same(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which actions [B, D] are the same in each dimension, bool[B]; one of another shape or dtype never is."""
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return np.zeros(len(expected), bool)
    far = TOLERANCE if found.dtype == np.float32 else 0
    return np.all(np.abs(found - expected) <= far, axis=-1)


def _draw(generator: np.random.Generator, rows: int, part: Mapping[str, Any]) -> np.ndarray:
    """Random inputs [rows, ...] of a part of the metadata."""
    if part["dtype"] == "uint8":
        pixels, channels = part["shape"][-2:]
        tiles = generator.integers(0, 256, (rows, TILES, TILES, channels), np.uint8)
        place = np.arange(pixels) * TILES // pixels
        return tiles[:, place][:, :, place]
    return generator.uniform(part["low"], part["high"], (rows, *part["shape"][1:])).astype(np.float32)


def _output(output: Any) -> Path:
    """The path of a file that can be written, as far as can be known."""
    remedy = "Write policy.onnx, say."
    checks.path("output", output, remedy)
    path = Path(output)
    if path.suffix != ".onnx":
        checks.fail("output", checks.short(str(output)), "its name must end in .onnx", remedy)
    if not path.parent.is_dir():
        rule = f"there is no directory {checks.short(str(path.parent))}"
        checks.fail("output", checks.short(str(output)), rule, "Make it first.")
    if path.is_dir():
        checks.fail("output", checks.short(str(output)), "it is a directory", remedy)
    return path


def _model(policy: load.Policy, spec: types.EnvSpec, metadata: Mapping[str, Any]) -> Any:
    """The ONNX model of a policy, with its metadata."""
    goal_images = spec.images is not None and spec.images.goals
    number = lambda is_image: jnp.uint8 if is_image else jnp.float32
    inputs = {
        "observation": jax.ShapeDtypeStruct(spec.observation_shape, number(spec.images is not None)),
        "goal": jax.ShapeDtypeStruct(spec.seen_goal_shape, number(goal_images)),
    }
    key = numerics.key(0)
    with_key = [*inputs.values(), jax.ShapeDtypeStruct(key.shape, key.dtype)]
    if _equations.depends_on(_equations.flatten(policy, with_key), 2):
        rule = "a file holds a function of observation and goal alone"
        remedy = "Train with --config.agent.acting=mode, or run it in JAX."
        checks.fail("policy", "one that draws its actions at random", rule, remedy)
    act = functools.partial(_act, policy, isinstance(spec.action, types.Box), key)
    model = _onnx_graph.build(act, inputs, "action", metadata["name"])
    model.doc_string = f"A policy for {metadata['task']}. How to feed it is in the metadata entry {KEY}, in JSON."
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata, allow_nan=False)})
    return model


def _act(policy: load.Policy, box: bool, key: jax.Array, observation: jax.Array, goal: jax.Array) -> jax.Array:
    """The policy's action; a runtime's tanh may leave [-1, 1] by rounding."""
    action = policy(observation, goal, key)
    return jnp.clip(action, -1.0, 1.0) if box else action


def _metadata(run: load.Saved, member: int, which: str, commit: str | None) -> dict[str, Any]:
    """What `read_metadata` gives."""
    spec: types.EnvSpec = run.setup.env.spec
    _, task, _ = presets.split(run.name)
    inputs, action = _inputs(spec), _action(spec.action)
    return {
        "format": FORMAT,
        "name": run.name,
        "task": task,
        "member": member,
        "seed": int(run.members.seeds[member]),
        "setting": config_file.to_json(run.members.settings[member]),
        "which": which,
        "env_steps": int(run.env_steps[member]),
        "commit": commit,
        "inputs": inputs,
        "outputs": {"action": action},
        "horizon": spec.horizon,
        "threshold": spec.threshold,
        "ends_at_success": spec.ends_at_success,
        "description": _description(run.setup.env),
        "config": config_file.to_json(run.config),
    }


def _commit(workdir: Path) -> str | None:
    """The commit of the process that trained last, by config.json; None: not known."""
    document = json.loads((workdir / "config.json").read_bytes())
    return [document, *document.get("resumed", [])][-1].get("commit")


def _inputs(spec: types.EnvSpec) -> dict[str, dict[str, Any]]:
    """Observation and goal, as a policy is shown them."""
    pixels = {"dtype": "uint8", "low": 0, "high": 255}
    numbers = lambda bounds: {"dtype": "float32", "low": list(bounds.low), "high": list(bounds.high)}
    images = spec.images
    if images is None:
        seen = {**numbers(spec.observation_range), "meaning": "the state's coordinates, as the description has them"}
    else:
        frames = f"the {images.frames} newest frames along the channels, the newest last; before, the first one"
        seen = {**pixels, "meaning": f"image, rows from the top: {frames if images.frames > 1 else 'the newest frame'}"}
    if images is not None and images.goals:
        goal = {**pixels, "meaning": "image of a state that has the goal"}
    else:
        goal = {**numbers(spec.goal_range), "meaning": "the goal's coordinates, as the description has them"}
    return {
        "observation": {"shape": ["batch", *spec.observation_shape], **seen},
        "goal": {"shape": ["batch", *spec.seen_goal_shape], **goal},
    }


def _action(action: types.Discrete | types.Box) -> dict[str, Any]:
    shape = ["batch", action.num_dims]
    if isinstance(action, types.Box):
        meaning = "numbers that the task scales to its own units, as the description has them"
        return {"shape": shape, "dtype": "float32", "low": -1, "high": 1, "meaning": meaning}
    meaning = "indices of actions, one a dimension, as the description has them"
    return {"shape": shape, "dtype": "int32", "low": 0, "high": action.num_bins - 1, "meaning": meaning}


def _description(env: GoalEnv) -> str:
    """The docstrings of the task's module and class, without examples."""
    kind = type(env.task if isinstance(env, ImageEnv) else env)
    module = sys.modules.get(kind.__module__)
    texts = [getattr(module, "__doc__", None), kind.__doc__]
    return "\n\n".join(inspect.cleandoc(text).partition(">>>")[0].strip() for text in texts if text)
