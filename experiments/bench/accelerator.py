"""The first eight minutes on a GPU or a TPU: python -m experiments.bench --parts accelerator --output=FILE.json.

Everything that one wants to know of a new device, the most important first, each in a section with a time limit of its
own (`sections`). On a CPU the same sections run in miniature.

Whether two runs of the same seeds have the same bits is asked of this process under its XLA_FLAGS; on a GPU also of
epochs that are compiled with xla_gpu_deterministic_ops, as an option of the compiler. A second process with the flag
would find no memory, of which JAX takes three quarters when it starts, and no TPU, which serves one process at a time.

Dimension key: M members, N environments, T steps.
"""

import importlib.util
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench import epoch, images, scaling, sections
from experiments.bench.populations import Changes, Made, make, train, twice
from experiments.bench.sections import Bench, Figures, Section
from experiments.bench.timing import best_of, spread, timed_first
from experiments.environments import speed as env_speed
from hindsight_jax import envs, presets, training
from hindsight_jax.runs import provenance

PAPER = "hdm_push_paper"
TASKS = ("push", "reacher", "point_mass")
GOAL_MINUTES = 15.0  # for 64 seeds of a million steps of PAPER
ROUNDS = 3
DETERMINISTIC = "xla_gpu_deterministic_ops"

SMALL_RING: Changes = tuple(scaling.SMALL.items())


class Sizes(NamedTuple):
    """How large everything is."""

    name: str
    matrix: int  # side of the matrices that are multiplied on each device
    copied: int  # float32 numbers that are copied on each device
    push: Changes  # to hdm_push
    epochs_of_bits: int  # that are trained twice
    members: tuple[int, ...]  # M, of PAPER
    of_members: Changes  # to PAPER
    environments: tuple[int, ...]  # N
    pixels: int  # of an image's side
    images: int  # of a call, on each device
    image_tasks: tuple[str, ...]
    paper_members: int  # M
    paper: Changes  # to PAPER


FULL = Sizes(
    name="full",
    matrix=8192,
    copied=2**29,
    push=(),
    epochs_of_bits=5,
    members=(1, 8, 64, 512),
    of_members=SMALL_RING,
    environments=(64, 1024, 8192),
    pixels=48,
    images=1024,
    image_tasks=("sawyer_reach", "push", "four_rooms"),
    paper_members=64,
    paper=(),
)
_FEW = (*SMALL_RING, ("total_steps", 3_000), ("evaluation.every", 1_000), ("evaluation.episodes", 20))
MINIATURE = Sizes(
    name="miniature",
    matrix=1024,
    copied=2**22,
    push=_FEW,
    epochs_of_bits=2,
    members=(2,),
    of_members=_FEW,
    environments=(4,),
    pixels=36,
    images=8,
    image_tasks=("four_rooms",),
    paper_members=2,
    paper=_FEW,
)


def measure(publish: Callable[[Mapping[str, Any]], None], report: Callable[[str, Figures], None]) -> dict[str, Any]:
    """Runs SECTIONS at the platform's size: {"sizes": its name, section: its figures}; see `sections.run`."""
    sizes = MINIATURE if jax.devices()[0].platform == "cpu" else FULL
    named = lambda found: {"sizes": sizes.name, **found}
    return named(sections.run(SECTIONS, sizes, lambda found: publish(named(found)), report))


def failed(figures: Mapping[str, Any]) -> bool:
    """Whether a section of what `measure` returned has an error."""
    return any("error" in section for section in figures.values() if isinstance(section, Mapping))


# The sections


def device(bench: Bench) -> Iterator[Figures]:
    """What computes here, its memory, and the settings that decide how exactly."""
    del bench
    versions, memory = provenance.versions(), jax.local_devices()[0].memory_stats() or {}
    yield provenance.device() | {
        "jax": versions["jax"],
        "jaxlib": versions["jaxlib"],
        "matmul_precision": provenance.precision()["matmul"],
        "deterministic_ops": deterministic_ops(),
        "bytes_limit": memory.get("bytes_limit"),
        "bytes_in_use": memory.get("bytes_in_use"),
    }


def peaks(bench: Bench) -> Iterator[Figures]:
    """The speed of a matrix product in each precision, and of a copy, of all devices at once.

    "default" is what JAX makes of float32 operands where nobody asks for more: TF32 on GPUs that have it, one pass of
    bfloat16 on TPUs.
    """
    side, count = bench.sizes.matrix, len(jax.local_devices())
    keys = jax.random.split(jax.random.key(0), count)
    matrices = spread(lambda key: jax.random.normal(key, (side, side)))(keys)

    def product(name: str, precision: Any, operands: jax.Array) -> Figures:
        multiply = spread(lambda a: jnp.matmul(a, a, precision=precision))
        (seconds,) = best_of(lambda: multiply(operands), rounds=ROUNDS)
        return {name: 2e-9 * count * side**3 / seconds}

    yield product("float32_gflops", "highest", matrices)
    tf32 = lambda: product("tensorfloat32_gflops", jax.lax.DotAlgorithmPreset.TF32_TF32_F32, matrices)
    yield sections.or_reason("tensorfloat32_gflops", tf32)
    yield product("default_gflops", "default", matrices)
    yield product("bfloat16_gflops", "default", matrices.astype(jnp.bfloat16))
    bench.deadline.check()
    numbers = spread(lambda start: jnp.full(bench.sizes.copied, start))(jnp.arange(1.0, count + 1.0))
    negate = spread(jnp.negative)
    (seconds,) = best_of(lambda: negate(numbers), rounds=ROUNDS)
    yield {"copy_gb_per_second": 2e-9 * numbers.nbytes / seconds}


def push(bench: Bench) -> Iterator[Figures]:
    """hdm_push with all of its seeds: its seconds, and the success that it ends with."""
    yield from train(of_push(bench.sizes), bench.deadline)


def bits(bench: Bench) -> Iterator[Figures]:
    """Whether a few epochs of hdm_push have the same bits twice, leaf by leaf of the state, the ring included."""
    made, epochs = of_push(bench.sizes), bench.sizes.epochs_of_bits
    init = lambda: made.population.init(made.keys)
    yield {"epochs": epochs, "deterministic_ops": deterministic_ops()}
    bench.deadline.check()
    yield twice("as_the_flags_are", lambda: made.population.advance(init(), epochs))
    if jax.devices()[0].platform != "gpu":
        yield {"with_deterministic_ops_equal": None, "with_deterministic_ops_reason": "the option is for GPUs"}
        return
    bench.deadline.check()
    first = init()
    jitted: Any = made.population.advance
    advance = jitted.lower(first, epochs).compile(compiler_options={DETERMINISTIC: True})
    yield twice("with_deterministic_ops", lambda: advance(jax.tree.map(jnp.copy, first), epochs))  # a copy: donated


def members(bench: Bench) -> Iterator[Figures]:
    """Updates/s and env steps/s of all members of PAPER, in whole epochs, with a small ring."""
    for count in bench.deadline.each(bench.sizes.members):
        made = make(PAPER, count, bench.sizes.of_members)
        yield {f"{count}_{name}": value for name, value in made.compiling.items()}
        bench.deadline.check()
        updates_per_epoch = made.values["agent.updates_per_epoch"]
        call, updates = scaling.advancing(made.population, made.population.init(made.keys), updates_per_epoch)
        (seconds,) = best_of(call, rounds=ROUNDS)
        steps = made.values["env.num_envs"] * made.setup.env.spec.horizon / updates_per_epoch  # for each update
        yield {
            f"{count}_updates_per_second_all_members": updates / seconds,
            f"{count}_env_steps_per_second_all_members": steps * updates / seconds,
            f"{count}_peak_bytes_so_far": peak_bytes(),
        }


def useful(bench: Bench) -> Iterator[Figures]:
    """Useful operations/s of the most members, in whole epochs and of their updates alone, beside the peaks."""
    found = bench.found["members"]
    rates = {count: found.get(f"{count}_updates_per_second_all_members", 0.0) for count in bench.sizes.members}
    count = max((count for count, rate in rates.items() if rate), default=0)
    if not count:
        raise RuntimeError("the section members has timed none")
    made = make(PAPER, count, bench.sizes.of_members)
    devices = training.devices_for(count)
    share_of_devices = len(devices) / len(jax.local_devices())
    peak = {name: bench.found["peaks"].get(f"{name}_gflops") for name in ("float32", "tensorfloat32")}

    assert made.setup.flops_per_update is not None
    flops: float = made.setup.flops_per_update

    def beside_peaks(name: str, updates_per_second: float) -> Figures:
        gflops = 1e-9 * updates_per_second * flops
        shares = {of: gflops / (value * share_of_devices) if value else None for of, value in peak.items()}
        return {f"{name}_gflops": gflops} | {f"{name}_share_of_{of}_peak": share for of, share in shares.items()}

    yield {"members": count} | beside_peaks("whole_epochs", rates[count])
    bench.deadline.check()
    state = made.population.init(made.keys)
    _, _, learn = epoch.parts_alone(made.setup.run, state, made.keys, devices)
    (seconds,) = best_of(learn, rounds=ROUNDS)
    yield beside_peaks("updates_alone", count * made.values["agent.updates_per_epoch"] / seconds)


def environments(bench: Bench) -> Iterator[Figures]:
    """Env steps/s of TASKS, and those of mjx.step alone in both of its implementations, at the most environments."""
    for task, count in bench.deadline.each(itertools.product(TASKS, bench.sizes.environments)):
        yield env_steps(task, count)
    for task in bench.deadline.each(TASKS):
        yield implementations(task, bench.sizes.environments[-1])


def rendering(bench: Bench) -> Iterator[Figures]:
    """Images/s of observations, and the cost of an update from images beside its operations at the float32 peak."""
    sizes = bench.sizes
    for task in bench.deadline.each(sizes.image_tasks):
        yield {f"{task}_images_per_second": images.observations_per_second(task, sizes.pixels, sizes.images)}
    bench.deadline.check()
    update = images.update(sizes.pixels, images.CAPACITIES[:1])
    yield {f"update: {name}": value for name, value in update.items() if name != "ratio of rings"}


def paper(bench: Bench) -> Iterator[Figures]:
    """A run of PAPER with many seeds, as far as it comes, and the minutes that the whole would take."""
    made = make(PAPER, bench.sizes.paper_members, bench.sizes.paper)
    yield {"goal_minutes": GOAL_MINUTES, "bytes_of_rings": len(made.keys) * made.setup.num_bytes_of_ring}
    yield from train(made, bench.deadline)


def memory(bench: Bench) -> Iterator[Figures]:
    """The most bytes in use so far, of the device that used most; where devices do not tell, of this process."""
    del bench
    amount = peak_bytes()
    if amount is not None:
        yield {"peak_bytes": amount, "of": "device"}
    else:
        import resource  # not on Windows

        unit = 1 if sys.platform == "darwin" else 1024
        yield {"peak_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "of": "process"}


SECTIONS = (  # the first half within four minutes, all within eight
    Section("device", 5, device),
    Section("peaks", 15, peaks),
    Section("push", 90, push),
    Section("bits", 30, bits),
    Section("members", 75, members),
    Section("useful", 20, useful),
    Section("environments", 90, environments),
    Section("rendering", 45, rendering),
    Section("paper", 100, paper),
    Section("memory", 5, memory),
)


# What several sections use


def of_push(sizes: Sizes) -> Made:
    """hdm_push with as many seeds as it has on any machine."""
    return make("hdm_push", presets.config("hdm_push")["seeds"], sizes.push)


def deterministic_ops() -> bool:
    """Whether XLA_FLAGS asks for operations that give the same bits in each run, on a GPU."""
    return re.search(rf"--{DETERMINISTIC}(=(true|1))?(\s|$)", os.environ.get("XLA_FLAGS", "")) is not None


def peak_bytes() -> int | None:
    """The most bytes in use so far, of the device that used most; None where devices do not tell."""
    amounts = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()]
    return max((amount for amount in amounts if amount is not None), default=None)


def env_steps(task: str, count: int) -> Figures:
    """Env steps/s of N environments that are driven by random actions, and the seconds of compiling T steps."""
    env, name, seconds = envs.make(task), f"{task}_{count}", {}
    sample = jax.jit(jax.vmap(jax.vmap(env.spec.action.sample)))
    actions = sample(jax.random.split(jax.random.key(1), (env_speed.STEPS, count)))
    first = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), count))
    loop = env_speed.task_loop(env, env_speed.Path(first, actions, physics=None, controls=None))
    timed_first(seconds, f"{name}_seconds_compile", loop)
    (elapsed,) = best_of(loop, rounds=ROUNDS)
    return seconds | {f"{name}_env_steps_per_second": env_speed.STEPS * count / elapsed}


def implementations(task: str, count: int) -> Figures:
    """Env steps/s of nothing but `mjx.step`, in JAX and in NVIDIA's Warp, along the same path of controls."""
    name = lambda impl: f"{task}_{count}_mjx_{impl}_env_steps_per_second"
    reason = why_no_warp()
    if reason:
        return {name("jax"): None, name("warp"): None, f"{task}_{count}_mjx_reason": reason}
    env = envs.make(task)
    path = env_speed.record(env, count)

    def rate(impl: str) -> Figures:
        (seconds,) = best_of(env_speed.raw_mjx_loop(env, path, impl), rounds=ROUNDS)
        return {name(impl): env_speed.STEPS * count / seconds}

    return rate("jax") | sections.or_reason(name("warp"), lambda: rate("warp"))


def why_no_warp() -> str | None:
    """Why MJX cannot use Warp on this device; None if it can."""
    if "cuda" not in jax.devices()[0].client.platform_version.lower():
        return "Warp needs CUDA"
    if importlib.util.find_spec("warp") is None:
        return "Warp is not installed: pip install mujoco-mjx[warp]"
    return None
