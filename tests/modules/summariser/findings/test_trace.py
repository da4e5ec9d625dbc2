"""Traces: what is kept of which steps, that no draw changes by it, and what a picture shows."""

import random

import numpy as np
import pytest
import torch

from modules.diffusion.schedule import CosineSchedule
from modules.summariser.findings.trace import Trace, Tracer, changes
from modules.summariser.findings.trace_picture import PALETTE, picture, pictures
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from tests.fixtures.summarisers import ROBERTA, STANCES, save_classifier, words

S, NUM, STEPS = 6, 3, 10
END, PAD = 2, 1
ENDS = (END, PAD)
KNOWN = {"id": "a", "stance": "left", "asked": "right", "summary": "x"}


class CountsWords:
    """Reads the share of stances in the number of words."""

    name, classes = "counts", STANCES

    def read(self, texts):
        return [len(text.split()) % 3 for text in texts]

    def named(self, texts):
        return [dict.fromkeys(STANCES, 0.0) | {STANCES[n]: 1.0} for n in self.read(texts)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A network, a tokenizer, a guide and a batch."""
    folder = tmp_path_factory.mktemp("guide")
    tokenizer = words(folder, ROBERTA)
    save_classifier(folder, tokenizer)
    torch.manual_seed(0)
    network = PrefixDenoiser(len(tokenizer), S, width=16, depth=1, heads=2, inner=24).eval()
    guide = Guide(str(folder)).open(tokenizer, STANCES)
    batch = {
        "article_BC": torch.randint(5, 20, (NUM, 7)),
        "article_mask_BC": torch.ones(NUM, 7, dtype=torch.bool),
        "id_B": [f"id {n}" for n in range(NUM)],
    }
    return network, tokenizer, Steering(Control([guide.guide], strength=3.0), [guide]), batch


def drawn(parts, trace, block_size=None):
    """Tokens of a batch, and what a tracer keeps of them."""
    network, tokenizer, steering, batch = parts
    schedule, marks = CosineSchedule(100, offset=1e-4, max_beta=1.0), Marks.of(tokenizer)
    diffusion = Diffusion(Simplex(), schedule, SelfConditioning(), marks, block_size)
    sampler = SummarySampler(network, diffusion, Generation(num_steps=STEPS), S, steering)
    tracer = Tracer(trace, tokenizer, [CountsWords()]) if trace else None
    found = tracer.follow(sampler, batch) if tracer else None
    article = batch["article_BC"], batch["article_mask_BC"]
    token = sampler.draw(*article, torch.tensor([0, 1, 2]), batch["id_B"], found)
    if tracer:
        tracer.add(found, [KNOWN | {"id": one} for one in batch["id_B"]])
    return token, tracer, sampler


def test_summaries_are_equal_bit_for_bit_with_and_without_a_trace(parts):
    plain, _, one = drawn(parts, None)
    traced, _, other = drawn(parts, Trace(num_summaries=2, num_steps=4))
    assert torch.equal(plain, traced)
    assert one.cost == other.cost


def test_a_trace_says_what_stood_after_each_kept_step(parts):
    """Against the states of the same draw, one by one."""
    token, tracer, sampler = drawn(parts, Trace(num_summaries=2, steps=[10, 1, 4]))
    _, tokenizer, steering, batch = parts
    [one, other] = tracer.gathered()
    assert [one["id"], other["id"]] == ["id 0", "id 1"]
    assert [step["number"] for step in one["steps"]] == [1, 4, 10]
    assert [step["t"] for step in one["steps"]] == [100, 70, 10]
    assert [step["done"] for step in one["steps"]] == [0.1, 0.4, 1.0]
    article = batch["article_BC"], batch["article_mask_BC"]
    states = list(sampler.states(*article, torch.tensor([0, 1, 2]), batch["id_B"]))
    [name] = one["steps"][0]["seen"]
    assert name.startswith("guide")
    for record, n in ((one, 0), (other, 1)):
        for step in record["steps"]:
            state = states[step["number"] - 1]
            row = state.tokens.id_BSM[n, :, 0].tolist()
            ended = next((at for at, token in enumerate(row) if token in ENDS), S)
            text = tokenizer.decode(row[:ended], skip_special_tokens=True)
            assert step["text"] == text
            share, [guide] = state.logits_BSV.softmax(-1)[n : n + 1], steering.guides
            p = guide.log_p(share, article[0][n : n + 1], article[1][n : n + 1]).exp()[0]
            assert list(step["seen"][name].values()) == pytest.approx(p.tolist(), abs=1e-4)
            assert step["read"]["counts"][STANCES[len(text.split()) % 3]] == 1
    assert one["steps"][-1]["text"] == parts[1].decode(
        token[0].tolist()[: token[0].tolist().index(END) if END in token[0].tolist() else S],
        skip_special_tokens=True,
    )


def test_blocks_are_one_run_which_goes_on_where_summaries_have_ended(parts):
    """Two blocks of ten steps each."""
    _, tracer, sampler = drawn(parts, Trace(num_steps=3), block_size=3)
    assert sampler.num_steps == 20
    for record in tracer.gathered():
        numbers = [step["number"] for step in record["steps"]]
        assert numbers == [1, 11, 20]
        assert record["steps"][-1]["t"] == 10
        assert all(step["seen"] == {} for step in record["steps"])


def test_only_the_first_summaries_of_a_command_are_followed(parts):
    batch = parts[-1]
    _, tracer, sampler = drawn(parts, Trace(num_summaries=4, num_steps=2))
    second = tracer.follow(sampler, batch)
    assert second.num == 1
    sampler.draw(
        batch["article_BC"], batch["article_mask_BC"], torch.zeros(3).long(), "abc", second
    )
    tracer.add(second, [KNOWN | {"id": "last"}] * 3)
    assert tracer.follow(sampler, batch) is None
    assert [one["id"] for one in tracer.gathered()] == ["id 0", "id 1", "id 2", "last"]


def test_ranks_give_the_first_summaries_in_the_order_of_the_data(monkeypatch):
    """Rank by rank within each batch; what each followed too much is left out."""
    tracer = Tracer(Trace(num_summaries=3), None, [])
    mine, others = [((1, 0, 0), "a"), ((2, 0, 0), "c")], [((1, 1, 0), "b"), ((2, 1, 0), "d")]
    tracer.records = mine
    where = "modules.summariser.findings.trace.over_ranks"
    monkeypatch.setattr(where, lambda items: [*others, *items])
    assert tracer.gathered() == ["a", "b", "c"]


def share(a, b):
    """Share of differing tokens by a loop over the positions of either text."""
    places, counted, different = range(len(a)), 0, 0
    for n in places:
        if n and all(any(token in ENDS for token in row[:n]) for row in (a, b)):
            break
        counted, different = counted + 1, different + (a[n] != b[n])
    return different / counted


@pytest.mark.parametrize("num", [1, 4, 10, 50, 53])
def test_changes_are_the_shares_between_the_ends_of_tenths(num):
    rng = random.Random(num)
    rows = [[rng.choice([END, PAD, 5, 6, 7]) for _ in range(6)] for _ in range(num)]
    tenths = [
        (n / 10, (n + 1) / 10, -(-num * n // 10) - 1, -(-num * (n + 1) // 10) - 1)
        for n in range(10)
    ]
    expected = [(a, b, share(rows[max(c, 0)], rows[d])) for a, b, c, d in tenths if max(c, 0) < d]
    found = [tuple(one.values()) for one in changes(rows, ENDS)]
    assert found == [pytest.approx(one, abs=1e-4) for one in expected]
    assert len(expected) == {1: 0, 4: 3, 10: 9}.get(num, 10)


def test_steps_are_spread_from_the_first_to_the_last():
    assert Trace(num_steps=5).kept(101) == [0, 25, 50, 75, 100]
    assert Trace(num_steps=5).kept(3) == [0, 1, 2]
    assert Trace(steps=[7, 1, 7]).kept(7) == [0, 6]


@pytest.mark.parametrize("wrong", [{"num_steps": 1}, {"num_summaries": 0}, {"steps": []}])
def test_a_trace_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=f"trace: {next(iter(wrong))} must"):
        Trace(**wrong)


def test_a_step_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="there is no step 11 of generation, but 1 to 10"):
        Trace(steps=[1, 11]).kept(10)


def record(left):
    """A summary that is left in a share of the text at each of its steps, else right."""
    steps = [
        {
            "done": n / (len(left) - 1),
            "text": f"text {n}",
            "seen": {},
            "read": {"judge": {"left": one, "center": 0.0, "right": 1 - one}},
        }
        for n, one in enumerate(left)
    ]
    return KNOWN | {"changed": [{"from": 1.0, "to": 0.5, "share": 0.5}], "steps": steps}


def ratio(pixels, colour):
    """Share of the pixels of the strips that have a colour, within those of a colour of classes."""
    wanted = [tuple(bytes.fromhex(one[1:])) for one in PALETTE[:3]]
    counts = [int((pixels == np.array(one)).all(-1).sum()) for one in wanted]
    return counts[colour] / sum(counts)


def test_a_strip_is_coloured_by_the_shares_of_the_classes():
    pixels = np.asarray(picture([record([0.25] * 4)], 2))[40:]  # below the legend
    assert ratio(pixels, 0) == pytest.approx(0.25, abs=0.02)
    assert ratio(pixels, 2) == pytest.approx(0.75, abs=0.02)
    falling = np.asarray(picture([record([1.0, 0.0])], 2))[40:]
    assert ratio(falling, 0) == pytest.approx(0.5, abs=0.02)


def test_a_picture_holds_a_few_summaries():
    found = pictures([record([1.0, 0.5])] * 5, Trace(per_picture=2))
    assert list(found) == ["traces/000.png", "traces/001.png", "traces/002.png"]
    heights = [one.height for one in found.values()]
    assert heights[0] == heights[1] > heights[2]
