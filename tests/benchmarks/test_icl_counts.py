from dataclasses import replace

import pytest

from benchmarks.icl_flops import (
    OPT_6_7B,
    SMALL,
    VOCABULARY,
    Counted,
    Paper,
    WholeSelection,
    check_small,
)


def test_the_papers_sizes_are_those_of_opt_6_7b():
    assert Counted(Paper(OPT_6_7B, VOCABULARY, 16)).num_parameters == 6_658_473_984


@pytest.mark.parametrize("length", [3, 8, 40])
def test_norms_take_what_their_formulas_say(length):
    small = replace(SMALL, length=length)
    assert Counted(small, "cpu").norm() == small.norm()


def test_the_meta_device_counts_as_real_tensors_do():
    check_small()


def test_products_take_what_a_step_takes():
    width = {"hidden_size": 256, "word_embed_proj_dim": 256, "ffn_dim": 1024}
    wide = replace(SMALL, options=SMALL.options | width)  # norms and biases weigh little
    counted = Counted(wide)
    assert wide.least_step() <= counted.products() <= 1.02 * counted.step()


def test_cached_norms_are_counted_once():
    whole = WholeSelection(products=10, norm=3, documents=100, iterations=5)
    assert (whole.cached, whole.anew) == (100 * 53, 100 * 65)
