import pytest
import torch

from modules.causal_lm.generate import Generation, cut, generate


class Tokens:
    """What generation needs of a tokenizer."""

    eos_token_id = 299
    pad_token_id = None


def left_padded(rows):
    longest = max(map(len, rows))
    token = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    return token, mask


def greedy_loop(network, prompt, num_tokens):
    """The whole sequence again for every token, without cache or padding."""
    row = list(prompt)
    for _ in range(num_tokens):
        with torch.no_grad():
            token = torch.tensor([row])
            logits = network(token, torch.arange(len(row))[None], [len(row)])
        row.append(int(logits[0, -1].argmax()))
        if row[-1] == Tokens.eos_token_id:
            break
    return row[len(prompt) :]


PROMPTS = [[5, 6, 7, 8, 9], [11], [40, 41, 42]]


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_greedy_batches_with_a_cache_equal_the_plain_loop(make_network, cache):
    network = make_network()
    how = Generation(max_new_tokens=12, temperature=0, cache=cache)
    token, mask = left_padded(PROMPTS)
    out = generate(network, token, mask, Tokens(), how)
    for prompt, row in zip(PROMPTS, out, strict=True):
        expected = greedy_loop(network, prompt, 12)
        assert row[token.shape[1] :][: len(expected)].tolist() == expected


def test_the_attention_of_training_is_back_afterwards(make_network):
    network = make_network()
    generate(network, *left_padded([[3]]), Tokens(), Generation(max_new_tokens=2))
    assert network.model.config._attn_implementation == "documents"


@pytest.mark.parametrize(("top_k", "top_p"), [(1, None), (None, 1e-6)])
def test_a_cut_to_one_token_is_greedy_at_any_temperature(make_network, top_k, top_p):
    network = make_network()
    token, mask = left_padded([[5, 6]])
    greedy = generate(network, token, mask, Tokens(), Generation(8, temperature=0))
    cut_off = Generation(8, temperature=3.0, top_k=top_k, top_p=top_p)
    assert generate(network, token, mask, Tokens(), cut_off).tolist() == greedy.tolist()


def test_a_text_ends_before_its_first_stop():
    assert cut("one. two\nthree", ["\n", "two"]) == "one. "
    assert cut("one", ["x"]) == "one"


def test_more_tokens_than_the_context_are_refused(make_network):
    with pytest.raises(ValueError, match=r"prompt of 3 tokens and 200 new ones.*context of 128"):
        generate(make_network(), *left_padded([[1, 2, 3]]), Tokens(), Generation(200))


@pytest.mark.parametrize("wrong", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Generation(**wrong)
