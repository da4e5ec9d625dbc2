import warnings

import pytest

from modules.decoding.branches.branches import Branch, Branches, context_aware, proxy_tuned
from modules.decoding.decoder import Decoder
from modules.decoding.options import ANSWERED, CONTINUED
from modules.prompting.format import ChatPrompt, Formatted, fill_in
from tests.fixtures.decoding import Numbers, doubled, plain_greedy, plain_logits, tiny

ASKED = [
    {"context": "5 6 7 8", "question": "1 2 3"},
    {"context": "11 30", "question": "9 4"},
    {"context": "", "question": "20 21 22 23"},
]


def cad(model, alpha=0.5):
    prompts = Formatted("{context} {question}"), Formatted("{question}")
    return context_aware(model, Numbers(), *prompts, alpha)


def ids(text):
    return [int(word) for word in text.split()]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_questions_are_answered_as_the_plain_loop_does(kind):
    branches = cad(tiny(kind))
    answers = Decoder(branches).generate(ASKED, max_new_tokens=5, do_sample=False)
    for answer, question in zip(answers, ASKED, strict=True):
        prompt_ids = [
            ids(f"{question['context']} {question['question']}"),
            ids(question["question"]),
        ]
        wanted = plain_greedy(doubled(branches), prompt_ids, 5)
        over = wanted.index(36) + 1 if 36 in wanted else 5  # the tokenizer's end of a text
        assert answer.tokens == wanted[:over]
        assert ids(answer.text) == [t for t in answer.tokens if t not in (0, 36)]


def test_an_answer_ends_behind_an_end_token():
    decoder = Decoder(cad(tiny("llama")))
    how = {"max_new_tokens": 6, "do_sample": False}
    free = decoder.generate(ASKED[1:2], eos_token_id=0, **how)[0]
    number = next(n for n in range(1, 6) if free.tokens[n] not in free.tokens[:n])
    ends = decoder.generate(ASKED[1:2], eos_token_id=[0, free.tokens[number]], **how)
    assert ends[0].tokens == free.tokens[: number + 1]


def test_every_answer_of_a_batch_ends_before_its_own_stop_string(tokenizer_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    model = tiny("llama", size=300)
    decoder = Decoder(Branches((Branch(model, tokenizer, Formatted("{question}")),)))
    asked = [{"question": text} for text in ("One day", "The dog", "A")]
    how = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": 299}
    free = [answer.text for answer in decoder.generate(asked, **how)]
    stops = [text[4:6] for text in free]
    for text, answer in zip(free, decoder.generate(asked, stop=stops, **how), strict=True):
        assert answer.text == text[: min(text.index(stop) for stop in stops if stop in text)]


def test_stop_strings_of_transformers_are_further_stops(tokenizer_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    model = tiny("llama", size=300)
    decoder = Decoder(Branches((Branch(model, tokenizer, Formatted("{question}")),)))
    how = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": 299}
    free = decoder.generate(["One day"], **how)[0].text
    for options in (
        {"stop_strings": free[4:6]},
        {"stop": [free[4:6]], "stop_strings": [free[2:4]]},
    ):
        wanted = decoder.generate(["One day"], stop=_all(options), **how)
        assert decoder.generate(["One day"], **options, **how) == wanted
        assert len(wanted[0].text) < len(free)


def _all(options):
    lists = [[stop] if isinstance(stop, str) else stop for stop in options.values()]
    return [stop for stops in lists for stop in stops]


def test_options_that_would_not_be_heard_are_refused_with_what_says_them():
    decoder = Decoder(cad(tiny("llama")))
    refused = {**ANSWERED, **CONTINUED, "position_ids": "models read only the prompts"}
    for name, advice in refused.items():
        with pytest.raises(ValueError, match=f"generate takes no {name} here: .*{advice}"):
            decoder.generate(ASKED[:1], max_new_tokens=3, **{name: None})


def test_one_models_cache_is_static_where_it_is_said(monkeypatch):
    kinds, model = [], tiny("llama")
    own = type(model)._prepare_static_cache

    def watched(*args, **more):
        kinds.append("static")
        return own(*args, **more)

    monkeypatch.setattr(type(model), "_prepare_static_cache", watched)
    branches = Branches((Branch(model, Numbers(), Formatted("{question}")),))
    how = {"max_new_tokens": 5, "do_sample": False}
    answers = Decoder(branches, cache="static").generate(ASKED, **how)
    assert kinds
    assert [answer.tokens for answer in answers] == [
        answer.tokens for answer in Decoder(branches).generate(ASKED, **how)
    ]


def test_answers_of_a_question_stand_together():
    decoder = Decoder(cad(tiny("gpt2")))
    answers = decoder.generate(ASKED, max_new_tokens=2, do_sample=True, num_return_sequences=2)
    assert [answer.question for answer in answers] == [0, 0, 1, 1, 2, 2]


def test_no_question_has_no_answer():
    assert Decoder(cad(tiny("gpt2"))).generate([], max_new_tokens=2) == []


def test_a_question_without_context_is_answered_as_the_model_does_by_itself():
    model = tiny("llama")
    both = Decoder(cad(model)).generate(ASKED[2:], max_new_tokens=4, do_sample=False)
    alone = Branches((Branch(model, Numbers(), Formatted("{question}")),))
    assert both == Decoder(alone).generate(ASKED[2:], max_new_tokens=4, do_sample=False)


# Prompts


def test_a_long_context_is_cut_for_all_branches_alike_and_counted():
    model = tiny("llama")
    long = {"context": " ".join(map(str, range(1, 35))) + " 8" * 40, "question": "1 2 3"}
    decoder = Decoder(cad(model))
    with pytest.warns(
        UserWarning, match=r"1 of 2 questions were too long: .* context .*\(1 so far\)"
    ):
        prompt_ids = decoder.prompts([long, ASKED[0]], 4)
    assert [len(row) for row in prompt_ids[0]] == [60, 7]
    assert prompt_ids[0][0][:34] == list(range(1, 35))
    assert prompt_ids[0][0][-3:] == prompt_ids[1][0] == [1, 2, 3]
    with pytest.warns(UserWarning, match=r"\(2 so far\)"):
        assert len(decoder.generate([long], max_new_tokens=4, do_sample=False)) == 1


def test_both_branches_see_the_same_cut_context():
    """The other branch has room, but reads no more than the first can."""
    big, small = tiny("llama", 0), tiny("llama", 1)
    small.config.max_position_embeddings = 20
    whole = Formatted("{context} {question}")
    branches = (Branch(big, Numbers(), whole, 1.5), Branch(small, Numbers(), whole, -0.5))
    with pytest.warns(UserWarning, match="too long"):
        prompt_ids = Decoder(Branches(branches)).prompts(
            [{"context": "7 " * 40, "question": "1"}], 4
        )
    assert prompt_ids[0] == prompt_ids[1] == [[7] * 15 + [1]]


def test_a_question_that_is_too_long_without_its_context_is_refused_with_the_number():
    long = {"context": "1 2", "question": "3 " * 70}
    with pytest.raises(ValueError, match=r"12 tokens longer .* nothing more can be cut off"):
        Decoder(cad(tiny("llama"))).prompts([long], 4)


def test_questions_that_fit_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Decoder(cad(tiny("llama"))).prompts(ASKED, 4)


def test_a_missing_field_is_named_with_those_there_are():
    message = r"the prompt 'So: {article}': no 'article' among context, question$"
    with pytest.raises(ValueError, match=message):
        fill_in("So: {article}", ASKED[0])


def test_a_question_whose_prompt_cannot_be_made_is_named():
    model = tiny("llama")
    decoder = Decoder(cad(model))
    asked = [ASKED[0], {"context": "1"}]
    with pytest.raises(ValueError, match=r"^question 'q2': the prompt .*: no 'question' among"):
        decoder.fit(asked, 4, names=["q1", "q2"])
    with pytest.raises(ValueError, match=r"^question 'q2': the prompt .*: no 'question' among"):
        decoder.generate(asked, max_new_tokens=1, names=["q1", "q2"])
    with pytest.raises(ValueError, match=r"^the prompt "):
        decoder.fit(asked, 4)


def test_braces_in_a_field_are_text():
    assert Formatted("{context}!")({"context": "{x}"}, None) == "{x}!"


class Chatty(Numbers):
    chat_template = "yes"

    def apply_chat_template(self, turns, tokenize, add_generation_prompt):
        return " | ".join(f"{turn['role']}: {turn['content']}" for turn in turns) + " |> "


def test_a_chat_prompt_goes_through_the_tokenizers_template():
    chat = ChatPrompt("{question}?", system="Be brief.", answer="So")
    text = chat({"question": "Why"}, Chatty())
    assert text == "system: Be brief. | user: Why? |> So"
    with pytest.raises(ValueError, match="no chat template"):
        chat({"question": "Why"}, Numbers())


# Likelihoods


def test_texts_are_scored_behind_the_prompt():
    branches = cad(tiny("llama"))
    texts = [" 4 5", " 8", " 1 2 3"]
    likelihoods = Decoder(branches).loglikelihood(ASKED, texts, batch_size=2)
    for question, text, likelihood in zip(ASKED, texts, likelihoods, strict=True):
        prompt_ids = [
            ids(f"{question['context']} {question['question']}"),
            ids(question["question"]),
        ]
        wanted = 0.0
        for n, token in enumerate(ids(text)):
            logits = plain_logits(doubled(branches), prompt_ids, ids(text)[:n])
            wanted += float(logits.log_softmax(-1)[token])
        assert likelihood.total == pytest.approx(wanted, abs=1e-5)


def test_a_text_without_a_token_is_refused():
    with pytest.raises(ValueError, match="'' has no token"):
        Decoder(cad(tiny("llama"))).loglikelihood(ASKED[:1], [""])


def test_answers_are_scored_as_they_were_written():
    three = [Branch(tiny("llama", seed), Numbers(), Formatted("{question}")) for seed in range(3)]
    decoder = Decoder(proxy_tuned(*three))
    written = decoder.generate(ASKED, max_new_tokens=3, do_sample=False)
    likelihoods = decoder.loglikelihood(
        ASKED, [answer.tokens for answer in written], by_branch=True
    )
    assert all(likelihood.is_greedy for likelihood in likelihoods)
    assert list(likelihoods[0].branches) == ["base", "expert", "antiexpert"]
