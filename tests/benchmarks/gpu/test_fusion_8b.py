import pytest

from benchmarks.bench.counting import FORMULAS, aten
from benchmarks.gpu.fusion_8b import MODEL, WIDTHS, Built, shape
from engine.estimate.stand_ins import write_stand_in


@pytest.mark.slow
def test_a_step_with_half_weights_and_a_unet_is_run_on_paper(tmp_path):
    """Its batch is in the weights' dtype, as Lightning's loops give it to a system."""
    write_stand_in(shape(quick=True), tmp_path / MODEL)
    found = Built(tmp_path / MODEL, 2, WIDTHS).on_paper()
    assert found.fault == ""
    assert found.num_units == 2 * 285
    assert found.model.step.flops > 0


@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn"])
def test_causal_kernels_of_cuda_count_the_pairs_up_to_the_diagonal(kernel):
    query, found = (1, 2, 8, 4), {}
    formula = FORMULAS[getattr(aten, f"_scaled_dot_product_{kernel}_attention")]
    for is_causal in (True, False):
        found[is_causal] = formula(query, query, query, is_causal=is_causal)
    assert found == {True: 2 * 2 * 2 * 4 * 36, False: 2 * 2 * 2 * 4 * 64}
