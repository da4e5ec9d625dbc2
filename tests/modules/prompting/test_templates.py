import pytest
from transformers import AutoTokenizer

from datamodules.questions.demonstrations import Demonstration
from modules.prompting import format as prompts
from modules.prompting.templates import ChatTurns, ExampleAnswers, QuestionOnly, num_tokens

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
    template = QuestionOnly()
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
    assert ChatTurns("Be kind.").render([CATS], "Cows?", tokenizer) == (
        f"{start}<system>Be kind.</><user>What do cats eat?</><assistant>Mice.</>"
        "<user>Cows?</><assistant>"
    )
    assert ChatTurns().render([], "Cows?", tokenizer) == f"{start}<user>Cows?</><assistant>"
    assert ChatTurns().stops == []


@pytest.mark.parametrize("template", [ChatTurns(), ChatTurns("Be kind."), ExampleAnswers()])
def test_lengths_add_up_to_what_demonstrations_add_to_a_prompt(tokenizer, template):
    tokenizer.chat_template = TURNS
    shown = [CATS, DOGS, CATS]
    added = num_tokens(template.render(shown, "Cows?", tokenizer), tokenizer) - num_tokens(
        template.render([], "Cows?", tokenizer), tokenizer
    )
    lengths = sum(template.length(demonstration, tokenizer) for demonstration in shown)
    assert abs(lengths - added) <= len(shown)  # a token at a seam may join its neighbour


def test_a_tokenizer_without_a_chat_template_is_refused(tokenizer):
    with pytest.raises(ValueError, match="has no chat template"):
        ChatTurns().render([], "Cows?", tokenizer)


THINKING = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>{% endfor %}<assistant>"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}</>{% endfor %}<assistant>"
)
SILENT = (
    "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
)


def test_a_template_is_told_the_options_of_the_config(tokenizer):
    tokenizer.chat_template = THINKING
    quick = {"enable_thinking": False}
    assert ChatTurns().render([], "Hi", tokenizer) == "<user>Hi</><assistant>"
    rendered = ChatTurns(template_options=quick).render([], "Hi", tokenizer)
    assert rendered == "<user>Hi</><assistant><think></think>"
    prompt = prompts.ChatPrompt("{q}", template_options=quick, answer="So")
    assert prompt({"q": "Hi"}, tokenizer) == rendered + "So"


def test_options_that_nobody_reads_are_told_and_ours_are_refused(tokenizer):
    tokenizer.chat_template = THINKING
    with pytest.warns(UserWarning, match="never reads the option 'enable_thought'"):
        ChatTurns(template_options={"enable_thought": False}).render([], "Hi", tokenizer)
    with pytest.raises(ValueError, match="template_options cannot set 'tokenize'"):
        ChatTurns(template_options={"tokenize": True}).render([], "Hi", tokenizer)


@pytest.mark.parametrize(("template", "why"), [(NO_SYSTEM, "refuses"), (SILENT, "leaves out")])
def test_a_template_without_a_system_role_is_told_and_the_users_turn_may_take_its_text(
    tokenizer, template, why
):
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=rf"{why} .*fold_system: true"):
        prompts.ChatPrompt("{q}", system="Be kind.")({"q": "Hi"}, tokenizer)
    rendered = prompts.ChatPrompt("{q}", system="Be kind.", fold_system=True)(
        {"q": "Hi"}, tokenizer
    )
    assert "Be kind.\n\nHi" in rendered
    shown = ChatTurns("Be kind.", fold_system=True).render([CATS], "Cows?", tokenizer)
    assert "Be kind.\n\nWhat do cats eat?" in shown
    assert shown.count("Be kind.") == 1
