"""Command lines: parsed, or refused in one short message."""

import pytest

from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli.flags import UsageError


def refused(argv):
    """The message, which is one line and short."""
    with pytest.raises(UsageError) as caught:
        cli_arguments.parse(argv)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 320
    assert message.endswith((".", "?"))
    return message


def same(one, other):
    """Equal to the bit, signed zeros included."""
    return repr(one) == repr(other)


def resume(stored, *argv):
    return ["--resume", f"--workdir={stored}", *argv]
