"""Networks: what their logits depend on, and that a published model is called as it was trained."""

import pytest
import torch
from torch.nn import functional as F

from modules.summariser.loss import token_loss
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.network.prefix import PrefixDenoiser
from tests.fixtures.summarisers import FAMILIES, options

V, S, C = 30, 4, 6
LENGTHS = torch.tensor([6, 2, 5])


@pytest.fixture
def prefix():
    """A small network whose parameters all matter."""
    torch.manual_seed(0)
    network = PrefixDenoiser(V, S, width=16, depth=2, heads=2, inner=24).eval()
    with torch.no_grad():
        for one in network.parameters():
            one.add_(0.2 * torch.randn_like(one))
    return network


def masked(family, own_embedding=True, **more):
    torch.manual_seed(0)
    given = {**options(family), "hidden_dropout_prob": 0.0, **more}
    if family == "modernbert":
        del given["hidden_dropout_prob"]
    return FromConfig(V, given, family, own_embedding).eval()


def batch(num=3):
    """Articles, their mask, shares and times; ids avoid those of marks."""
    torch.manual_seed(1)
    mask = torch.arange(C) < LENGTHS[:num, None]
    article = torch.randint(5, V, (num, C)).where(mask, 1)
    share = (3 * torch.randn(num, S, V)).softmax(-1)
    return article, mask, share, torch.tensor([0.1, 0.5, 0.9])[:num]


def predicted(network, article, mask, share, time):
    return network(share, time, network.read(article, mask))


def every(prefix, family):
    return prefix if family == "prefix" else masked(family)


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_logits_do_not_depend_on_the_batch_or_its_padding(prefix, family):
    network, (article, mask, share, time) = every(prefix, family), batch()
    whole = predicted(network, article, mask, share, time)
    assert whole.shape == (3, S, V)
    for b, length in enumerate(LENGTHS.tolist()):
        row = slice(b, b + 1)
        alone = predicted(network, article[row, :length], mask[row, :length], share[row], time[row])
        torch.testing.assert_close(whole[row], alone, rtol=1e-4, atol=1e-5)
    garbage = torch.where(mask, article, 9)
    wide = F.pad(garbage, (0, 3), value=11), F.pad(mask, (0, 3))
    found = predicted(network, *wide, share, time)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_a_repeated_article_is_read_as_if_it_were_there_twice(prefix, family):
    network, (article, mask, _, _) = every(prefix, family), batch()
    share, time = torch.randn(6, S, V).softmax(-1), torch.linspace(0, 1, 6)
    found = network(share, time, network.repeat(network.read(article, mask), 2))
    twice = [one.repeat_interleave(2, 0) for one in (article, mask)]
    torch.testing.assert_close(found, predicted(network, *twice, share, time))


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_time_article_and_every_summary_position_matter(prefix, family):
    network, (article, mask, share, time) = every(prefix, family), batch()
    base = predicted(network, article, mask, share, time)
    assert moved(base, predicted(network, article, mask, share, 1 - time)).tolist() == [
        True,
        False,  # its time is a half
        True,
    ]
    other = article.clone()
    other[:, 0] = (article[:, 0] + 1).clamp(max=V - 1) - (article[:, 0] == V - 1).long()
    assert moved(base, predicted(network, other, mask, share, time)).all()
    for s in range(S):
        changed = share.clone()
        changed[:, s] = share[:, s].roll(1, -1)
        assert moved(base, predicted(network, article, mask, changed, time)).all()
    order = torch.tensor([1, 0, 2, 3])
    turned = predicted(network, article, mask, share[:, order], time)[:, order]
    assert moved(base, turned).all()


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_no_articles_have_no_logits(prefix, family):
    """A rank without articles still computes with the others."""
    article, mask, share, time = (one[:0] for one in batch())
    assert predicted(every(prefix, family), article, mask, share, time).shape == (0, S, V)


def moved(a, b):
    """Which rows differ by more than rounding."""
    return (a - b).abs().flatten(1).amax(1) > 1e-4


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_the_gradient_reaches_all_parameters(prefix, family):
    network, given = every(prefix, family), batch()
    predicted(network, *given).log_softmax(-1)[..., 3].sum().backward()
    idle = [name for name, one in network.named_parameters() if one.grad is None]
    idle += [
        name
        for name, one in network.named_parameters()
        if one.grad is not None and not one.grad.any() and not name.endswith("token_type.weight")
    ]
    assert idle == []


def test_an_article_does_not_depend_on_its_summary(prefix):
    article, mask, share, time = batch()
    context = prefix.read(article, mask)
    kept = [one.clone() for pair in context.key_value for one in pair]
    first = prefix(share, time, context)
    prefix(share.roll(1, -1), 1 - time, context)
    assert torch.equal(prefix(share, time, context), first)
    pairs = [one for pair in context.key_value for one in pair]
    assert all(torch.equal(a, b) for a, b in zip(pairs, kept, strict=True))


@pytest.mark.parametrize("own_embedding", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_hot_shares_at_no_time_give_the_models_own_logits(family, own_embedding):
    network, (article, mask, _, time) = masked(family, own_embedding), batch()
    for one in network.time.parameters():
        torch.nn.init.zeros_(one)
    token = torch.randint(5, V, (3, S))
    found = predicted(network, article, mask, F.one_hot(token, V).float(), time)
    for b in range(3):
        row = torch.cat([article[b][mask[b]], token[b]])[None]
        logits = network.model(input_ids=row).logits[:, -S:]
        torch.testing.assert_close(found[b : b + 1], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_are_means_of_embeddings_and_time_is_added(family):
    network, (article, mask, share, time) = masked(family), batch(1)
    seen = []
    network.model.base_model.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["inputs_embeds"]), with_kwargs=True
    )
    predicted(network, article, mask, share, time)
    weight, line = network.share_embedding, network.time
    for s in range(S):
        expected = sum(share[0, s, v] * weight[v] for v in range(V))
        expected = expected + line.weight[:, 0] * time[0] + line.bias
        torch.testing.assert_close(seen[0][0, C + s], expected, rtol=1e-4, atol=1e-5)
    words = network.model.get_input_embeddings().weight
    assert torch.equal(seen[0][0, :C], words[article[0]])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_computed_at_summary_positions_alone(family):
    network, given = masked(family), batch()
    seen, inside = [], {id(one) for one in network.model.base_model.modules()} | {id(network.model)}
    for module in network.model.modules():
        if id(module) not in inside:
            module.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[:2])))
    predicted(network, *given)
    assert seen
    assert set(seen) == {(3, S)}
    whole = network.model(input_ids=torch.randint(5, V, (1, 9))).logits
    assert whole.shape[1] == 9  # the model is as it was


@pytest.mark.parametrize(("family", "longest"), [("roberta", 62), ("bert", 64), ("modernbert", 64)])
def test_windows_are_as_long_as_the_positions_and_longer_ones_are_refused(family, longest):
    network = masked(family)
    assert network.context == longest
    network.check_lengths(longest - S, S)
    article = torch.randint(5, V, (1, longest - S))
    share = torch.full((1, S, V), 1 / V)
    found = predicted(network, article, torch.ones_like(article).bool(), share, torch.ones(1))
    assert found.isfinite().all()
    with pytest.raises(
        ValueError, match=f"article_length {longest - S + 1} and summary_length {S}"
    ):
        network.check_lengths(longest - S + 1, S)


def test_roberta_counts_positions_from_behind_the_padding_index():
    network, (article, mask, share, time) = masked("roberta"), batch(1)
    seen = []
    table = network.model.base_model.embeddings.position_embeddings
    table.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    predicted(network, article, mask, share, time)
    assert seen[0].tolist() == [list(range(2, 2 + C + S))]


def test_a_small_network_refuses_summaries_longer_than_its_positions(prefix):
    prefix.check_lengths(10_000, S)
    with pytest.raises(ValueError, match=f"summary_length is {S + 1}, but the network has {S}"):
        prefix.check_lengths(6, S + 1)
    with pytest.raises(ValueError, match="width 12 is no multiple of twice the 4 heads"):
        PrefixDenoiser(V, S, width=12, heads=4)
    with pytest.raises(ValueError, match="kernel must be odd, got 2"):
        PrefixDenoiser(V, S, width=16, kernel=2)


@pytest.mark.parametrize("family", ["prefix", *FAMILIES])
def test_half_precision_weights_give_losses_in_single_precision(prefix, family):
    network, (article, mask, share, time) = every(prefix, family), batch()
    token = torch.randint(5, V, (3, S))
    exact = token_loss(predicted(network, article, mask, share, time), token)
    network.bfloat16()
    logits = predicted(network, article, mask, share, time)
    assert logits.dtype == torch.bfloat16
    loss = token_loss(logits, token)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.1, atol=0)
    loss.backward()


@pytest.mark.parametrize("family", FAMILIES)
def test_recomputed_activations_give_the_same_gradient(family):
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        given = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        given = options(family) | (given if family != "modernbert" else {})
        network = FromConfig(V, given, family, activation_checkpointing=checkpointing).train()
        predicted(network, *batch()).logsumexp(-1).sum().backward()
        found.append([one.grad for one in network.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
