"""Work behind the caller's back: one piece at a time, and no error is lost."""

import threading

import pytest

from hindsight_jax.checkpoints.background import Background

SECONDS = 30  # after which a test that waits for ever is given up


def test_it_returns_at_once_and_wait_waits():
    may_go_on, done = threading.Event(), []
    work = Background()
    work.start(lambda: (may_go_on.wait(SECONDS), done.append(1)))
    work.raise_if_failed()
    assert done == []
    may_go_on.set()
    work.wait()
    assert done == [1]
    work.wait()  # nothing is under way


def test_the_next_piece_waits_for_the_one_before():
    may_go_on, order = threading.Event(), []
    work = Background()
    work.start(lambda: (may_go_on.wait(SECONDS), order.append("first")))
    threading.Timer(0.05, may_go_on.set).start()
    work.start(lambda: order.append("second"))
    work.wait()
    assert order == ["first", "second"]


@pytest.mark.parametrize("ask", ["wait", "raise_if_failed", "start"])
def test_an_error_is_raised_by_whatever_is_called_next_and_once(ask):
    ended = threading.Event()

    def fail():
        try:
            raise OSError(28, "No space left on device")
        finally:
            ended.set()

    work, ran = Background(), []
    work.start(fail)
    ended.wait(SECONDS)
    work._thread.join(SECONDS)
    with pytest.raises(OSError, match="No space left"):
        getattr(work, ask)(*[lambda: ran.append(1)] * (ask == "start"))
    assert ran == []  # what was asked for after a failure was not begun
    work.raise_if_failed()
    work.wait()
