import pytest
from transformers import AutoTokenizer

from modules.decoding.demonstrations import Demonstration
from modules.decoding.templates import Chat, ExampleAnswers, ZeroShot, num_tokens

CATS = Demonstration("What do cats eat?", "Mice.")
DOGS = Demonstration("What do dogs eat?\nBe short.", "Bones: {prompt}")
TURNS = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


def test_the_papers_prompt_is_this_text(tokenizer):
    assert ExampleAnswers().render([CATS, DOGS], "And cows?", tokenizer) == (
        "Question: What do cats eat?\n\nHere\u2019s an example answer: Mice.\n\n"
        "Question: What do dogs eat?\nBe short.\n\n"
        "Here\u2019s an example answer: Bones: {prompt}\n\n"
        "Question: And cows?\n\nHere\u2019s an example answer:"
    )
    assert ExampleAnswers().stops == ["\nQuestion:"]


def test_a_demonstration_is_as_long_as_its_text_with_the_gap(tokenizer):
    text = "Question: What do cats eat?\n\nHere\u2019s an example answer: Mice.\n\n"
    length = ExampleAnswers().length(CATS, tokenizer)
    assert length == len(tokenizer.encode(text, add_special_tokens=False))


def test_zero_shot_is_the_question_alone(tokenizer):
    template = ZeroShot()
    assert template.render([CATS], "And cows?", tokenizer) == "Question: And cows?\n\nAnswer:"
    assert template.length(CATS, tokenizer) == 0
    assert template.stops == ["\nQuestion:"]


def test_another_query_words_demonstrations_and_stops():
    template = ExampleAnswers("Q: {prompt}\nA:")
    assert (
        template.render([CATS], "Cows?", None) == "Q: What do cats eat?\nA: Mice.\n\nQ: Cows?\nA:"
    )
    assert template.stops == ["\nQ:"]
    assert ExampleAnswers("{prompt} ->").stops == []
    with pytest.raises(ValueError, match=r"query must hold \{prompt\}"):
        ExampleAnswers("Q:")


def test_demonstrations_are_earlier_turns_of_a_chat(tokenizer):
    tokenizer.chat_template = TURNS
    start = tokenizer.bos_token or ""
    assert Chat("Be kind.").render([CATS], "Cows?", tokenizer) == (
        f"{start}<system>Be kind.</><user>What do cats eat?</><assistant>Mice.</>"
        "<user>Cows?</><assistant>"
    )
    assert Chat().render([], "Cows?", tokenizer) == f"{start}<user>Cows?</><assistant>"
    assert Chat().stops == []


@pytest.mark.parametrize("template", [Chat(), Chat("Be kind."), ExampleAnswers()])
def test_lengths_add_up_to_what_demonstrations_add_to_a_prompt(tokenizer, template):
    tokenizer.chat_template = TURNS
    shown = [CATS, DOGS, CATS]
    added = num_tokens(template.render(shown, "Cows?", tokenizer), tokenizer) - num_tokens(
        template.render([], "Cows?", tokenizer), tokenizer
    )
    lengths = sum(template.length(one, tokenizer) for one in shown)
    assert abs(lengths - added) <= len(shown)  # a token at a seam may join its neighbour


def test_a_tokenizer_without_a_chat_template_is_refused(tokenizer):
    with pytest.raises(ValueError, match="has no chat template"):
        Chat().render([], "Cows?", tokenizer)
