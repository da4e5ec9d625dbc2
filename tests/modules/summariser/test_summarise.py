"""What every command refuses before it starts, and what summaries are measured by."""

from types import SimpleNamespace

import pytest
import torch

from modules.decoding.evaluate import Faithful
from modules.diffusion.schedule import CosineSchedule
from modules.metrics.means import Means
from modules.metrics.text.factuality import Classifier
from modules.summariser.blocks import Part
from modules.summariser.evaluate import Extractive, StanceKept
from modules.summariser.generate import Generation
from modules.summariser.marks import Marks
from modules.summariser.network.prefix import PrefixDenoiser
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from modules.summariser.steering.stance_token import StanceToken
from modules.summariser.system import Summariser
from tests.fixtures.summarisers import ROBERTA, STANCES, save_classifier, words

S, C, NUM = 6, 7, 3
STARTS = ["on_fit_start", "on_validation_start", "on_test_start", "on_predict_start"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A RoBERTa that tells stances, with its tokenizer."""
    path = tmp_path_factory.mktemp("guide")
    save_classifier(path, words(path, ROBERTA))
    return str(path)


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    """A trainer in name only."""
    monkeypatch.setattr(Summariser, "trainer", property(lambda self: self.stand_in))


def made(folder, article=C, summary=S, stances=STANCES, **more):
    """A summariser beside data of these options."""
    torch.manual_seed(0)

    def network(size):
        return PrefixDenoiser(size, S, width=16, depth=1, heads=2, inner=24)

    schedule = CosineSchedule(100, offset=1e-4, max_beta=1.0)
    whole = Summariser(network, folder, schedule=schedule, **more)
    whole.configure_model()
    known = SimpleNamespace(names=list(stances))
    data = SimpleNamespace(article_length=article, summary_length=summary, stances=known)
    whole.stand_in = SimpleNamespace(
        datamodule=data, state=SimpleNamespace(fn="validate"), strategy=SimpleNamespace()
    )
    return whole


def batch(asked):
    """Three articles of full length."""
    torch.manual_seed(4)
    article = torch.randint(5, 20, (NUM, C))
    token = torch.randint(5, 20, (NUM, S))
    full = torch.ones(NUM, S, dtype=torch.bool)
    return {
        "article_BC": article,
        "article_mask_BC": torch.ones(NUM, C, dtype=torch.bool),
        "summary_BS": token,
        "summary_mask_BS": full,
        "stance_B": torch.full((NUM,), -100),
        "asked_B": torch.tensor(asked),
        "article_B": ["the cat sat"] * NUM,
        "reference_B": [""] * NUM,
        "id_B": [f"id {n}" for n in range(NUM)],
    }


FEW = Generation(num_steps=2)
BAD = {
    "summary": ({"summary": 9}, {}, "summary_length is 9, but the network has 6 positions"),
    "steps": ({}, {"generation": Generation(num_steps=101)}, r"num_steps must lie in \[1, 100\]"),
    "stances": ({"stances": ["left", "right"]}, {}, "data.init_args.stances are left, right, not"),
    "guide": ({}, {"control": Control([Guide("/tmp/none/such")])}, "no model folder /tmp/none/suc"),
    "judge": ({}, {"measures": [StanceKept("/tmp/none/such")]}, "no model folder /tmp/none/such"),
    "facts": ({}, {"measures": [Faithful(Classifier("/tmp/none/such"))]}, "/tmp/none/such"),
    "classes": ({}, {"measures": [StanceKept("x", classes=["a", "b"])]}, "measure judge are a, b"),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("bad", BAD)
def test_every_command_refuses_what_no_summary_can_be_drawn_with_before_it_starts(
    folder, start, bad
):
    data, options, message = BAD[bad]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        getattr(made(folder, **data, **options), start)()


def test_good_options_start_and_leave_the_classifiers_loaded(folder):
    judge = StanceKept(folder)
    whole = made(folder, control=Control([Guide(folder)]), measures=[judge])
    whole.on_test_start()
    assert whole._steering is not None
    assert judge._opened is not None


@pytest.mark.parametrize(
    ("sees", "article", "summary", "options"),
    [("summary", 7, 62, "summary_length"), ("article_and_summary", 58, 5, "article_length and")],
)
def test_a_guide_that_cannot_read_what_it_sees_is_refused(folder, sees, article, summary, options):
    """The classifier has 64 positions, of which RoBERTa uses 62."""
    tokenizer = words(folder, ROBERTA)
    guide = Guide(folder, sees=sees).open(tokenizer, STANCES)
    guide.check_lengths(article, summary - 1)
    told = f"reads 62 tokens, .* 63: lower data.init_args.{options}"
    with pytest.raises(ValueError, match=told):
        guide.check_lengths(article, summary)


def test_a_guide_reads_the_beginning_of_an_article_that_is_too_long_for_it(folder):
    tokenizer = words(folder, ROBERTA)
    guide, marks = Guide(folder).open(tokenizer, STANCES), Marks.of(tokenizer)
    torch.manual_seed(0)
    token = torch.randint(5, len(tokenizer), (2, 70))
    token[1, 5:] = marks.pad
    mask = token != marks.pad
    cut = torch.cat([token[:1, :61], torch.tensor([[marks.end]])], 1)
    found = guide.read(token, mask)
    torch.testing.assert_close(found[:1], guide.read(cut, torch.ones_like(cut, dtype=torch.bool)))
    torch.testing.assert_close(found[1:], guide.read(token[1:, :5], mask[1:, :5]))


def test_a_guide_without_a_tokenizer_is_refused(folder, tmp_path):
    tokenizer = words(tmp_path / "own", ROBERTA)
    save_classifier(tmp_path / "own", tokenizer).save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="bare holds no tokenizer, so it cannot read texts"):
        Guide(str(tmp_path / "bare")).open(tokenizer, STANCES)


class Asks:
    """A measure that remembers what was asked."""

    names = ("seen",)

    def score(self, answers):
        self.asked = [one.question["asked"] for one in answers]
        return {"seen": [1.0] * len(answers)}


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_measures_see_what_was_asked_whether_or_not_a_guide_read_the_rest(folder, strength):
    measure = Asks()
    control = Control([Guide(folder)], strength=strength)
    whole = made(folder, control=control, measures=[measure], generation=FEW)
    whole.means = Means(whole.quantities, whole.device)
    whole.measure(batch([2, -100, -100]))
    assert measure.asked == ["right", "", ""]


def test_two_measures_of_one_name_are_refused(folder):
    with pytest.raises(ValueError, match="two measures give coverage: give them different names"):
        made(folder, measures=[Extractive(), Extractive(lower=False)])


def test_what_is_measured_of_no_summary_is_not_announced_to_monitors(folder):
    assert made(folder).validated() == ["validate/loss"]
    named = made(folder, measures=[Extractive()]).validated()
    assert named[1:] == ["validate/summaries", "validate/coverage", "validate/density"]


class Broken:
    """A guide without a finite score."""

    guide = Guide("broken")

    def targets(self, asked):
        return asked

    def log_p(self, share, article, mask):
        return (share * torch.nan).sum(1)[:, :3]


def test_steps_that_could_not_be_steered_are_told(folder):
    whole = made(folder, control=Control([Guide("broken")]), generation=FEW)
    whole._steering = Steering(whole.control, [Broken()])
    with pytest.warns(UserWarning, match="6 steps of 3 summaries were not steered"):
        whole.predict_step(batch([0, 1, 2]), 0)


def numbers(whole):
    """Steps, noise, losses and summaries of a batch."""
    torch.manual_seed(5)
    given = batch([0, 1, 2])
    noise, step = whole.noise(given["summary_BS"]), torch.tensor([1, 50, 99])
    context = whole.denoiser.read(given["article_BC"], given["article_mask_BC"])
    part = Part(given["summary_BS"])
    _, logits = whole.predict_tokens(part, noise.clone(), step, context, True)
    return noise, logits, whole.draw(given, given["asked_B"])


def test_half_precision_as_the_default_changes_no_step_noise_or_time(folder):
    whole = made(folder, generation=FEW)
    expected = numbers(whole)
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = numbers(whole)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(expected[:2], found[:2], strict=True))
    assert found[2] == expected[2]


def test_ranks_with_random_numbers_of_their_own_decide_alike(folder, monkeypatch):
    """Half of the time, as each would alone."""
    whole, drawn = made(folder), torch.rand(2, 400)
    monkeypatch.setattr(Summariser, "num_ranks", 2)
    monkeypatch.setattr(Summariser, "sum_over_ranks", lambda self, u: u + self.other)

    def decisions(own, other):
        for a, b in zip(own, other, strict=True):
            monkeypatch.setattr(torch, "rand", lambda *size, a=a, **more: a)
            whole.other = b.double()
            yield whole.sees_itself()

    first, second = list(decisions(*drawn)), list(decisions(*drawn.flip(0)))
    assert first == second
    assert 150 < sum(first) < 250


def test_a_stance_token_that_no_training_summary_could_be_told_is_refused(folder):
    whole = made(folder, stance_token=StanceToken())
    whole.stand_in.datamodule.knows_summary_stances = False
    with pytest.raises(ValueError, match="no training summary has a known stance"):
        whole.on_fit_start()
    whole.stand_in.datamodule.knows_summary_stances = True
    whole.on_fit_start()
    read = made(folder, stance_token=StanceToken(Guide(folder)))
    read.stand_in.datamodule.knows_summary_stances = False
    read.on_fit_start()


def test_who_tells_the_network_stances_is_no_judge_of_them(folder):
    whole = made(folder, control=Control([Guide("a")]), stance_token=StanceToken(Guide("b")))
    assert whole.guide_sources == ["a", "b"]
    assert made(folder).guide_sources == []


def test_another_stance_token_is_not_told_by_the_last_one(folder):
    whole = made(folder, stance_token=StanceToken(dropped=0.1))
    assert whole.open_stance_token.token.dropped == 0.1
    whole.stance_token = StanceToken(dropped=0.5)
    assert whole.open_stance_token.token.dropped == 0.5
