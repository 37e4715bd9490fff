"""Runs of the command line that start in no time: a process that has imported everything forks itself for each.

JAX's backend is never started in the server, since it does not survive a fork: each copy starts its own. The compiled
functions of TINY are loaded from a file, and the two pictures are blank; all else is what `python -m experiments.run`
does, in a process of its own, from the parsing of its arguments to the end of its interpreter.
"""

import fcntl
import functools
import gc
import importlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import compiles

ROOT = Path(__file__).parents[2]

TINY = (  # a warm-up of three episodes of three steps, then epochs of one, an evaluation and a checkpoint every third
    "--config=her_flip_bit",
    "--config.seeds=2",
    "--config.total_steps=54",
    "--config.env.size=3",
    "--config.env.num_envs=1",
    "--config.replay.warmup=3",
    "--config.replay.capacity=8",
    "--config.agent.hidden_sizes=8",
    "--config.agent.batch_size=8",
    "--config.agent.updates_per_epoch=2",
    "--config.evaluation.every=9",
    "--config.evaluation.episodes=4",
    "--config.checkpoint.seconds=0",
)
SECONDS_TO_END = 120.0  # a run of TINY takes one or two

LATE = (  # what a run imports when it needs it
    "hindsight_jax.envs.flip_bit",
    "hindsight_jax.runs.launch",
    "jax.experimental.serialize_executable",
    "hindsight_jax.runs.report.page",
    "matplotlib.pyplot",
    "orbax.checkpoint",
    "rich.progress",
    "tensorboardX.proto.event_pb2",
    "tensorboardX.record_writer",
)
# ---- the side of the tests


class Ended(NamedTuple):
    """What a process left."""

    code: int  # -N for signal N
    output: str
    errors: str
    cpu_seconds: float
    seconds: float  # from its start to its end


class Process(NamedTuple):
    """A running copy."""

    server: "Server"
    pid: int
    began: float
    folder: Path

    def send(self, number: int) -> None:
        """The process is the server's to reap, so its id stays its own until `wait`."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = SECONDS_TO_END) -> Ended:
        """Until it ends; one that does not is killed, and an error."""
        reply = self.server.ask(do="wait", pid=self.pid, timeout=timeout)
        seconds = time.monotonic() - self.began
        texts = [(self.folder / name).read_bytes().decode(errors="replace") for name in ("output", "errors")]
        assert reply["code"] is not None, f"it did not end in {timeout} seconds: {texts}"
        return Ended(reply["code"], *texts, reply["cpu_seconds"], seconds)

    def is_running(self) -> bool:
        return not self.server.ask(do="has_ended", pid=self.pid)["ended"]


class Server:
    """The client's end. `folder` holds the outputs; `shared` the compiled code, for any number of servers."""

    def __init__(self, folder: Path, shared: Path, **environment: str) -> None:
        self.folder, self.count = folder, 0
        quiet = {
            "JAX_COMPILATION_CACHE_DIR": str(shared / "cache"),
            "XLA_FLAGS": compiles.xla_flags("--xla_force_host_platform_device_count=1"),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, __file__, str(shared / "population")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | quiet | environment, **pipes)
        with open(shared / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / "population").exists():
                ended = self.run("compile")
                assert ended.code == 0, ended.errors

    def ask(self, **request: Any) -> dict[str, Any]:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *argv: str, cwd: Path = ROOT, setup: str = "", stdout: str | None = None) -> Process:
        """Forks, runs the Python text `setup`, and then the command line. Outputs go to files."""
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        (folder / "output").touch()
        files = [stdout or str(folder / "output"), str(folder / "errors")]
        began = time.monotonic()
        reply = self.ask(do="start", argv=argv, cwd=str(cwd), setup=setup, files=files)
        return Process(self, reply["pid"], began, folder)

    def run(self, *argv: str, **keywords: Any) -> Ended:
        return self.start(*argv, **keywords).wait()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)


# ---- for the text of `setup`


def at_call(number: int, action: Callable[[], None], pattern: str = "") -> None:
    """Runs the action before the call of that number, from 0, that changes what is on the disk and fits the pattern.

    A call reads as "rename FROM TO" or "write PATH". -1 only counts: those that fit are in `at_call.calls`.
    """
    calls: list[str] = []
    lock = threading.Lock()  # saves and the loop write from threads of their own

    def wrap(name: str) -> None:
        original = getattr(os, name)

        @functools.wraps(original)
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            paths = [_path_of(argument) for argument in arguments]
            call = " ".join([name, *filter(None, paths)])
            if re.search(pattern, call):
                with lock:
                    calls.append(call)
                    is_due = len(calls) - 1 == number
                if is_due:
                    action()
            return original(*arguments, **keywords)

        setattr(os, name, wrapped)

    for name in ("fsync", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink", "write"):
        wrap(name)
    at_call.calls = calls


def _path_of(argument: Any) -> str:
    if isinstance(argument, int):
        return os.readlink(f"/proc/self/fd/{argument}") if os.path.exists(f"/proc/self/fd/{argument}") else ""
    return os.fspath(argument) if isinstance(argument, (str, os.PathLike)) else ""


def after_checkpoint(number: int, action: Callable[[], None]) -> None:
    """Runs the action once that many checkpoints are there."""
    original, steps = os.rename, []

    def rename(source: Any, target: Any, **keywords: Any) -> None:
        original(source, target, **keywords)
        if re.fullmatch(r"step_\d+", os.path.basename(target)):
            steps.append(target)
            if len(steps) == number:
                action()

    os.rename = rename


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill(folder: str | os.PathLike) -> None:
    """Writes the file `filler` until the disk is full to the last byte."""
    with open(Path(folder, "filler"), "ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


# ---- the server's side


def serve(compiled: Path) -> None:
    """Answers requests, a line each, until there are no more."""
    prepare(compiled)
    for line in sys.stdin:
        request = json.loads(line)
        match request.pop("do"):
            case "start":
                pid = os.fork()
                if not pid:
                    return be_a_run(compiled, **request)
                reply: dict[str, Any] = {"pid": pid}
            case "has_ended":
                reply = {"ended": has_ended(request["pid"])}
            case "wait":
                reply = wait(**request)
        os.write(1, (json.dumps(reply) + "\n").encode())
    return None


def has_ended(pid: int) -> bool:
    """Leaves it to be waited for, so that its id is not given to another process."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait(pid: int, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while not (ended := has_ended(pid)) and time.monotonic() < deadline:
        time.sleep(0.002)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status) if ended else None
    return {"code": code, "cpu_seconds": usage.ru_utime + usage.ru_stime}


def be_a_run(compiled: Path, argv: list[str], cwd: str, setup: str, files: list[str]) -> None:
    """In the copy: what a shell and Python's start would have done, and then the command."""
    for descriptor, path in enumerate([os.devnull, *files]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOCTTY)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    if argv == ["compile"]:
        return compile_population(compiled)
    exec(setup, {"fork_server": sys.modules[__name__], "os": os, "sys": sys, "signal": signal})
    from hindsight_jax.cli import main

    sys.exit(main.main(argv))


def prepare(compiled: Path) -> None:
    """Imports what a run imports, now or later, and starts no backend."""
    import numpy as np
    from jax._src import xla_bridge

    from hindsight_jax import training
    from hindsight_jax.runs import curves, video

    for name in LATE:
        importlib.import_module(name)
    picture = video.encode_gif(np.zeros((1, 8, 8, 3), np.uint8), 1.0)
    video.record_video = lambda *arguments: np.zeros((1, 8, 8, 3), np.uint8)
    curves.curves = lambda rows, title: picture
    training.make_population = functools.partial(load_population, compiled, training.make_population)
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared
    assert not xla_bridge._backends


def load_population(compiled: Path, make: Callable[..., Any], run: Any, devices: Any) -> Any:
    """`training.make_population` of TINY, compiled already."""
    import jax
    from jax.experimental import serialize_executable

    @functools.cache
    def parts() -> list[Any]:
        return [serialize_executable.deserialize_and_load(*part) for part in pickle.loads(compiled.read_bytes())]

    def template(keys: Any) -> Any:
        like = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        return jax.tree.map(like, parts()[0].out_info, parts()[0].output_shardings)

    return make(run, devices)._replace(
        init=lambda keys, values: parts()[0](keys, values),
        advance=lambda state, num_epochs: parts()[1](state, num_epochs),
        evaluate=lambda state, keys: parts()[2](state, keys),
        record=lambda state, results: parts()[3](state, results),
        compile=lambda keys, values: None,
        template=template,
    )


def compile_population(compiled: Path) -> None:
    """Leaves the compiled functions of TINY in a file. JAX's own cache must not serve them: those cannot be stored."""
    import jax
    from jax.experimental import serialize_executable

    from hindsight_jax import presets, training
    from hindsight_jax.cli import arguments
    from hindsight_jax.runs import jax_flags

    jax_flags.configure_jax(2)
    jax.config.update("jax_enable_compilation_cache", False)
    values = arguments.parse(TINY).config
    experiment, keys = presets.build("her_flip_bit", values), training.member_keys(0, 2)
    make = training.make_population.args[1]
    population = make(experiment.run, training.devices_for(2))
    state = population.template(keys)
    sharded = jax.tree.leaves(state.best)[0].sharding
    results = jax.tree.map(lambda x: x.update(sharding=sharded), jax.eval_shape(population.evaluate, state, keys))
    traced = [
        jax.jit(population.init).lower(keys, {}),
        population.advance.lower(state, 1),
        population.evaluate.lower(state, keys),
        population.record.lower(state, results),
    ]
    parts = [serialize_executable.serialize(one.compile()) for one in traced]
    beside = compiled.with_suffix(".tmp")
    beside.write_bytes(pickle.dumps(parts))
    os.replace(beside, compiled)


if __name__ == "__main__":
    sys.modules["fork_server"] = sys.modules[__name__]
    serve(Path(sys.argv[1]))
