import torch

from modules.metrics.meter import Meter


def test_targets_are_counted_on_though_reports_set_them_back():
    meter = Meter()
    meter.num_targets += 3
    meter.num_targets = 0
    meter.num_targets += 4
    assert (meter.num_targets, meter.num_read) == (4, 7)


def test_a_mean_weighs_batches_by_their_counts():
    meter = Meter()
    meter.add("loss", torch.tensor(6.0), 3)
    meter.add("loss", torch.tensor(1.0), 1)
    assert meter.means() == {"loss": 7 / 4}


def test_a_part_without_targets_is_left_out_and_no_nan():
    meter = Meter()
    meter.add("text", torch.tensor(2.0), 2)
    meter.add("image", torch.tensor(0.0), 0)
    assert meter.means() == {"text": 1.0}


def test_reading_starts_again_and_keeps_no_graph():
    meter = Meter()
    meter.add("loss", torch.tensor(1.0, requires_grad=True) * 2, 1)
    assert not meter.totals["loss"].requires_grad
    meter.set_latest("gradient_norm", torch.tensor(3.0))
    assert meter.means() == {"loss": 2.0, "gradient_norm": 3.0}
    assert meter.means() == {}


def test_ranks_are_summed_before_dividing():
    meter = Meter()
    meter.add("loss", torch.tensor(6.0), 3)
    other_rank = torch.tensor([1.0, 1.0])  # total and count there
    assert meter.means(lambda both: both + other_rank) == {"loss": 7 / 4}
