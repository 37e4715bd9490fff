"""Readable failures of the contract that the physics tasks share."""

import pytest

pytest.register_assert_rewrite("physics_contract")
