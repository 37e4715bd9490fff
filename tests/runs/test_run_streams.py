"""A run outlives whatever happens to its output: closed, broken, no terminal, a narrow one, another encoding."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading

import pytest
from fork_server import TINY

# what a shell's >&- and 2>&- leave: no descriptor, and Python then has no stream
NO_INPUT = "os.close(0); sys.stdin = None\n"
NO_OUTPUT = "os.close(1); sys.stdout = None\n"
NO_ERRORS = "os.close(2); sys.stderr = None\n"
BROKEN = "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, {0}); os.close(writer)\n"
ASCII = "sys.stdout.reconfigure(encoding='ascii', errors='strict')\n"  # as LANG=C had it, and PYTHONIOENCODING has

STREAMS = {
    "output closed": NO_OUTPUT,
    "errors closed": NO_ERRORS,
    "output is a pipe that nobody reads": BROKEN.format(1),
    "errors are a pipe that nobody reads": BROKEN.format(2),
    "both are pipes that nobody reads": BROKEN.format(1) + BROKEN.format(2),
    "output is a full disk": "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n",
    "no controlling terminal": "os.setsid()\n",
    "ascii": ASCII,
}


DEFAULT = "output closed"  # each is a whole run


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k == DEFAULT else pytest.mark.seldom) for k in STREAMS])
def test_a_run_ends_with_0_and_loses_nothing_where_its_streams_are_broken(server, assert_whole, tmp_path, kind):
    ended = server.run(*TINY, f"--workdir={tmp_path / 'run'}", setup=STREAMS[kind])
    assert (ended.code, ended.errors) == (0, "")
    if kind in ("no controlling terminal", "ascii", "errors closed"):
        assert ended.output.startswith("her_flip_bit: 2 seeds x 54 env steps\n")
        assert ended.output.count("\n") == 3
    assert_whole(tmp_path / "run")


@pytest.mark.seldom
def test_a_path_that_the_output_cannot_spell_does_not_end_a_run(server, assert_whole, tmp_path):
    path = tmp_path / "\N{GREEK SMALL LETTER PI}"
    ended = server.run(*TINY, f"--workdir={path}", setup=ASCII)
    assert_whole(path)
    assert (ended.code, ended.errors) == (0, "")


@pytest.mark.seldom
def test_no_file_of_a_run_becomes_a_closed_stream(server, assert_whole, tmp_path):
    """What XLA writes to descriptor 2 would stand in a checkpoint, or among the rows."""
    path, seen = tmp_path / "run", tmp_path / "seen"
    look = (
        "def look():\n"
        "    names = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        f"    open({str(seen)!r}, 'w').write(' '.join(names))\n"
        "fork_server.at_call(4, look, 'fsync .*metrics.jsonl')\n"
    )
    ended = server.run(*TINY, f"--workdir={path}", setup=NO_INPUT + NO_OUTPUT + NO_ERRORS + look)
    assert ended.code == 0
    assert seen.read_text() == "/dev/null /dev/null /dev/null"
    assert_whole(path)


@pytest.mark.seldom
@pytest.mark.parametrize(
    ("term", "columns", "has_bar"),
    [
        (None, 1, True),
        ("dumb", 80, False),
        ("xterm", 1, True),
        ("nonsense", 0, True),
    ],
)
def test_a_terminal_of_any_kind_shows_a_run_to_its_end(server, assert_whole, tmp_path, term, columns, has_bar):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = bytearray()
    reading = threading.Thread(target=read_all, args=(ours, shown), daemon=True)
    reading.start()
    setup = f"os.environ['TERM'] = {term!r}\n" if term else "os.environ.pop('TERM', None)\n"
    process = server.start(*TINY, f"--workdir={tmp_path / 'run'}", setup=setup, stdout=os.ttyname(theirs))
    ended = process.wait()
    os.close(theirs)
    reading.join(timeout=60)
    os.close(ours)
    assert (ended.code, ended.errors) == (0, "")
    text = shown.decode()
    assert "54 of 54 env steps per seed" in re.sub(r"\s+", " ", text)
    assert ("\x1b[" in text) == has_bar
    assert_whole(tmp_path / "run")


def read_all(descriptor: int, shown: bytearray) -> None:
    """Until the other end is closed by everyone, which is an error of the system's."""
    try:
        while data := os.read(descriptor, 4096):
            shown.extend(data)
    except OSError:
        pass


# the cache of compiled code is where JAX_COMPILATION_CACHE_DIR says, here as elsewhere; without it, below HOME
NO_CACHE = "import jax; jax.config.update('jax_compilation_cache_dir', None); os.environ.pop('XDG_CACHE_HOME', None)\n"


@pytest.mark.seldom
@pytest.mark.parametrize("home", ["/dev/null", None, "/proc/none"])
def test_a_home_that_takes_no_cache_does_not_end_a_run(server, assert_whole, tmp_path, home):
    setup = NO_CACHE + (f"os.environ['HOME'] = {home!r}" if home else "os.environ.pop('HOME', None)")
    ended = server.run(*TINY, f"--workdir={tmp_path / 'run'}", setup=setup)
    assert ended.code == 0, ended.errors
    assert "Traceback" not in ended.errors
    assert_whole(tmp_path / "run")


@pytest.mark.seldom
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_user_without_a_name_or_a_home_may_run(server, assert_whole, tmp_path):
    """As containers have them: a number that no list of users holds."""
    path = tmp_path / "run"
    path.mkdir()
    for folder in (path, *path.parents):
        if "pytest" in str(folder):
            folder.chmod(0o777)
    setup = NO_CACHE + "os.environ.pop('HOME', None)\nos.setuid(54321)\n"
    ended = server.run(*TINY, f"--workdir={path}", setup=setup)
    assert ended.code == 0, ended.errors
    assert_whole(path)
