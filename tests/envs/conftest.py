"""A physics task for every test of this folder, and readable failures of the contract that the tasks share."""

import pytest

from hindsight_jax import envs

pytest.register_assert_rewrite("physics_contract")


@pytest.fixture(scope="session")
def push():
    return envs.make("push")
