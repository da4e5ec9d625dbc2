from dataclasses import replace

import pytest
import torch

from modules.causal_lm.generate import Generation, cut, generate
from modules.causal_lm.tokens.ends import StopStrings, token_ids, up_to_end
from modules.nn.generators import generator_of


class Tokens:
    """What generation needs of a tokenizer."""

    eos_token_id = 299
    pad_token_id = None

    def __len__(self):
        return 300

    def get_vocab(self):
        return {str(number): number for number in range(300)}


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


def continued(network, prompts, how, seed=0):
    """New tokens of each prompt, up to the end."""
    token, mask = left_padded(prompts)
    own = [generator_of(seed, *prompt) for prompt in prompts]
    out = generate(network, token, mask, Tokens(), how, generators=own)
    return [up_to_end(row, {299}) for row in out[:, token.shape[1] :].tolist()]


@pytest.mark.parametrize("more", [{}, {"repetition_penalty": 1.3, "top_k": 40, "top_p": 0.9}])
def test_what_a_prompt_draws_does_not_depend_on_the_prompts_beside_it(make_network, more):
    network = make_network()
    how = Generation(max_new_tokens=12, temperature=1.3, **{"top_k": None, **more})
    together = continued(network, PROMPTS, how)
    assert [continued(network, [prompt], how)[0] for prompt in PROMPTS] == together
    assert continued(network, PROMPTS[::-1], how) == together[::-1]
    assert continued(network, PROMPTS, how, seed=1) != together


def test_padding_does_not_count_as_tokens_that_were_seen(make_network):
    """The padding is what the shorter prompt's text begins with, so that a penalty would show."""
    network = make_network()
    how = Generation(max_new_tokens=12, temperature=0, repetition_penalty=1000.0)
    long, short = PROMPTS[:2]
    (alone,) = continued(network, [short], how)
    token, mask = left_padded([long, short])
    token[~mask] = alone[0]
    out = generate(network, token, mask, Tokens(), how)
    assert up_to_end(out[1, len(long) :].tolist(), {299}) == alone


class Letters(Tokens):
    """Ids as two letters each, so that a stop string may lie across tokens."""

    pad_token_id = 0
    all_special_ids = (0, 299)

    def __len__(self):
        return 300

    def decode(self, ids, skip_special_tokens=False):
        kept_ids = [i for i in ids if not (skip_special_tokens and i in self.all_special_ids)]
        return "".join(
            "<end>" if i == 299 else f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in kept_ids
        )

    def get_vocab(self):
        return {"<end>": 299}

    def convert_tokens_to_ids(self, names):
        return [299 if name == "<end>" else None for name in names]

    def convert_ids_to_tokens(self, ids):
        return ["<end>" if i == 299 else "" for i in ids]


def test_stop_strings_are_looked_for_in_what_is_new_only():
    stops = StopStrings(Letters(), ["ab"])
    prompt = [1]  # "ab"
    assert not stops.have_come([26 * 0], [1 * 26])  # "aa" + "ba": across the end of the prompt
    assert not stops.are_in(prompt, [5])
    assert stops.up_to(prompt, [5, 1, 7, 1]) == [5, 1]
    assert stops.up_to(prompt, [26 * 2, 26 * 1 + 3]) == [52, 29]  # "ca", "bd": no "ab" but across
    assert stops.up_to(prompt, [5, 6]) == [5, 6]


def test_a_stop_string_may_be_a_special_token():
    stops = StopStrings(Letters(), ["<end>"])
    assert stops.up_to([3], [4, 299, 5]) == [4, 299]
    assert stops.have_come([3], [4] * 40 + [299])
    assert not stops.have_come([3, 299], [4] * 40)


def test_a_text_ends_at_a_stop_across_tokens_and_the_prompt_does_not_count(make_network):
    network = make_network()
    how = Generation(max_new_tokens=12, temperature=0)
    token, mask = left_padded([[5, 6]])
    free = generate(network, token, mask, Letters(), how)[0].tolist()
    text = Letters().decode(free[2:])
    stop = text[3:5]  # the end of a token and the beginning of the next
    wanted = StopStrings(Letters(), [stop]).up_to([5, 6], free[2:])
    written = generate(network, token, mask, Letters(), replace(how, stop=[stop]))[0].tolist()
    assert written[2:] == wanted
    whole = Letters().decode(free[:3])[1:5]  # begins in the prompt
    written = generate(network, token, mask, Letters(), replace(how, stop=[whole]))[0].tolist()
    assert len(written) > 3


def test_further_ends_are_heard_by_id_and_by_string_and_unknown_ones_are_named(make_network):
    network = make_network()
    how = Generation(max_new_tokens=12, temperature=0)
    token, mask = left_padded([[5, 6]])
    free = generate(network, token, mask, Letters(), how)[0].tolist()[2:]
    end = next(token_id for n, token_id in enumerate(free) if n > 2)
    written = generate(network, token, mask, Letters(), replace(how, ends=[end, "<end>"]))
    assert written[0].tolist()[2:] == free[: free.index(end) + 1]
    for wrong in ("<never>", 300, -1):
        with pytest.raises(ValueError, match=r"no token of the tokenizer's 300"):
            token_ids([wrong], Letters())


def test_an_empty_stop_string_is_refused():
    with pytest.raises(ValueError, match="stop string is empty"):
        Generation(stop=["\n", ""])
