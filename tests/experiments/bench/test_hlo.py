"""Kernels of programs, by hand and of programs whose loops are known."""

import jax
import jax.numpy as jnp
import pytest

from experiments.bench import hlo

PROGRAM = """
%inner (c: (s32[], f32[64,4])) -> (s32[], f32[64,4]) {
  %c = (s32[], /*index=1*/f32[64,4]{1,0}) parameter(0)
  %one = f32[64,4]{0,1} get-tuple-element(%c), index=1
  %sum = f32[64,4]{1,0:T(8,128)} fusion(%one), kind=kLoop, calls=%fused
  ROOT %t = (s32[], f32[64,4]{1,0}) tuple(%n, %sum)
}

%outer (c: (s32[], f32[64,4])) -> (s32[], f32[64,4]) {
  %c = (s32[], f32[64,4]{1,0}) parameter(0)
  %w = (s32[], f32[64,4]{1,0}) while(%c), condition=%more, body=%inner
  %factor = (f32[2,2]{1,0}, s32[]) custom-call(%w), custom_call_target="potrf"
  ROOT %d = f32[64,4]{1,0} dot(%w, %w), lhs_contracting_dims={1}
}

%called (x: f32[2]) -> f32[2] {
  ROOT %a = f32[2]{0} add(%x, %x)
}

ENTRY %main.1 (x: f32[64,4]) -> f32[64,4] {
  %x = f32[64,4]{1,0} parameter(0)
  %k = f32[] constant(1)
  %b = f32[256]{0} bitcast(%x)
  %l = (s32[], f32[64,4]{1,0}) while(%t), body=%outer, backend_config={"known_trip_count":{"n":"4"}}
  ROOT %r = f32[64,4]{1,0} call(%x), to_apply=%called
}
"""


def test_a_program_by_hand():
    """Outside 1 (the call's add); 4 rounds of a custom call, a dot and an inner loop of 1: 1 + 4 (2 + 3 * 1) = 21."""
    block = hlo.read(PROGRAM)
    inner = hlo.Block(1, 0, ())
    outer = hlo.Block(2, 1, (hlo.Loop(None, inner),))
    assert block == hlo.Block(1, 0, (hlo.Loop(4, outer),))
    assert hlo.total(block, rounds=3) == (21, 4)
    assert hlo.innermost(block, rounds=3) == 4 * 3 * 1


def test_a_compiled_loop_has_its_rounds():
    """The body holds a product, which nothing fuses with."""

    def five_products(matrix):
        return jax.lax.fori_loop(0, 5, lambda i, x: jnp.tanh(x @ x), matrix)

    block = hlo.read(jax.jit(five_products).lower(jnp.eye(64)).compile().as_text())
    (loop,) = block.loops
    assert loop.rounds == 5
    assert loop.block.kernels >= 2
    assert hlo.total(block)[0] == block.kernels + 5 * loop.block.kernels


def test_what_is_no_program_is_refused():
    with pytest.raises(ValueError, match=r"text: got 'module', but it must have an entry\. Pass compiled\.as_text\(\)"):
        hlo.read("module")
