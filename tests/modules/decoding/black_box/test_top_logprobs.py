"""Top log-probabilities of chats and texts, and the local tokens that they name."""

import pytest
import torch

from modules.decoding.black_box.token_strings import TokenStrings
from modules.decoding.black_box.top_logprobs import (
    ChatTopLogprobs,
    local_candidates,
)
from modules.endpoint.client import Endpoint
from modules.endpoint.next_tokens import Candidate, NextTokens
from tests.fixtures.endpoint import PROMPT, serving


def test_a_chat_tells_one_token(parts, box):
    with serving(model=parts[2], tokenizer=parts[0]) as served:
        top_logprobs = ChatTopLogprobs(Endpoint(served.url, "tiny"), 20)
        written = box(served, top_logprobs=top_logprobs, max_new_tokens=1).write(PROMPT)
        text = box(served, num=20, as_ids=False, max_new_tokens=1).write(PROMPT)
        assert [token.id for token in written.tokens] == [token.id for token in text.tokens]
        with pytest.raises(ValueError, match="a chat endpoint gives one token only"):
            box(served, top_logprobs=top_logprobs).write(PROMPT)


def test_a_chat_that_can_goes_on_with_its_half_finished_answer(parts, box):
    continuation_fields = {"continue_final_message": True, "add_generation_prompt": False}
    with serving(model=parts[2], tokenizer=parts[0]) as served:
        top_logprobs = ChatTopLogprobs(Endpoint(served.url, "tiny"), 20, continuation_fields)
        written = box(served, top_logprobs=top_logprobs).write(PROMPT)
    second = served.requests[1][2]
    assert second["messages"][1] == {"role": "assistant", "content": written.tokens[0].text}
    assert second["continue_final_message"] is True
    assert "continue_final_message" not in served.requests[0][2]


def split_up(tokenizer):
    """Tokens that a tokenizer would never choose for their text."""
    return [i for part in " the" for i in tokenizer.encode(part)]


def test_nothing_is_certain_once_the_endpoint_reads_other_tokens_than_were_chosen(parts, box):
    tokenizer = parts[0]
    odd = split_up(tokenizer)
    assert tokenizer.encode(PROMPT + " the") != [*tokenizer.encode(PROMPT), *odd]

    def answer(fields):
        token_name = f"token_id:{odd[len(given)]}" if len(given) < len(odd) else "token_id:70"
        given.append(token_name)
        return {
            "text": "",
            "logprobs": {"tokens": [token_name], "top_logprobs": [{token_name: -1e-9}]},
        }

    for as_ids in (True, False):
        given = []
        with serving() as served:
            served.text = answer
            written = box(served, num=1, as_ids=as_ids, max_new_tokens=5).write(PROMPT)
        assert [token.id for token in written.tokens[: len(odd)]] == odd
        seen = [token.read_back for token in written.tokens]
        assert all(seen) if as_ids else not seen[len(odd)]
        for token in written.tokens:
            assert token.read_back or (token.certain, token.low, token.high) == (False, 0.0, 1.0)
        assert written.is_certain == as_ids


def test_a_token_is_known_by_its_id_where_its_text_may_be_two(parts):
    from tests.fixtures.endpoint import piece_tokenizer

    tokenizer = piece_tokenizer()
    token_strings, ids = (
        TokenStrings(tokenizer),
        tokenizer.convert_tokens_to_ids(["A", "▁A", "true"]),
    )
    for i in ids[:2]:
        assert token_strings.id(Candidate("A", -1.0)) is None
        assert token_strings.id(Candidate("A", -1.0, b"A", i)) == i
    assert token_strings.id(Candidate("A", -1.0, b"A", ids[2])) is None  # of another vocabulary
    by_text = token_strings.id(Candidate("true", -1.0))
    assert token_strings.id(Candidate("true", -1.0, None, 9999)) == by_text


def test_tokens_without_a_single_local_id_are_counted_and_left_unseen(parts):
    token_strings = parts[1]
    names = [" the", "zzz", "\ufffd", "Ġthe", "a"]  # the first and the fourth are one token
    candidates = NextTokens([Candidate(t, -1.0 - n) for n, t in enumerate(names)], 0.01)
    seen = local_candidates(candidates, token_strings)
    assert seen.id_K.tolist() == token_strings.ids("a")
    assert sorted(seen.unmatched) == pytest.approx(
        sorted(float(torch.tensor(-1.0 - n).exp()) for n in range(4))
    )
    assert seen.cap == 0.01


def test_a_base_that_reads_text_can_use_no_part_of_a_character(parts):
    tokenizer, token_strings = parts[:2]
    part = tokenizer.convert_tokens_to_ids("Ã")
    candidates = NextTokens([Candidate(f"token_id:{i}", -1.0) for i in (part, 5)], 0.1)
    assert local_candidates(candidates, token_strings).id_K.tolist() == [part, 5]
    seen = local_candidates(candidates, token_strings, whole=True)
    assert seen.id_K.tolist() == [5]
    assert len(seen.unmatched) == 1
