"""Models served by a local endpoint, through the command line."""

from collections import Counter

import pytest
import torch

from modules.causal_lm.tokens.ends import ends_of
from modules.decoding.black_box.decode import BlackBox, ProxySampling
from modules.decoding.black_box.offsets import LocalOffsets
from modules.decoding.black_box.token_strings import TokenStrings
from modules.decoding.black_box.top_logprobs import TextTopLogprobs
from modules.endpoint.client import Endpoint
from tests.fixtures.endpoint import byte_tokenizer, serving, tiny_model
from tests.fixtures.remote_runs import lines, run, save_experts, tiny_parts
from tests.fixtures.runs import refused

QUESTIONS = [
    {"id": f"q{n}", "question": text}
    for n, text in enumerate(["the cat sat", "a question has", "the dog", "Der Bär", "the log"])
]
BUSY = (429, {"retry-after-ms": "1"})


@pytest.fixture(scope="module")
def parts():
    return tiny_parts()


@pytest.fixture(scope="module")
def experts(parts, tmp_path_factory):
    return save_experts(parts, tmp_path_factory.mktemp("experts"))


def black_box(folder, experts, served, *flags, questions=QUESTIONS, **options):
    named = [
        f"--model.init_args.method.{name}.path={experts / name}"
        for name in ("expert", "antiexpert")
    ]
    short = "--model.init_args.sampling.max_new_tokens=3"
    return run("black_box", folder, questions, served.url, *named, short, *flags, **options)


def asked(served):
    """How often each question's prompt was asked for."""
    texts = [str(fields["prompt"]) for _, _, fields in served.requests]
    return Counter(
        next(q["id"] for q in QUESTIONS if text.startswith(q["question"])) for text in texts
    )


# Proxy-tuning


def test_a_black_box_writes_what_it_writes_in_python(parts, experts, tmp_path, capsys):
    tokenizer, base, expert, antiexpert = parts
    with serving(model=base, tokenizer=tokenizer) as served:
        records = black_box(tmp_path, experts, served)
        offsets = LocalOffsets(expert, antiexpert, tokenizer)
        how = ProxySampling(max_new_tokens=3, end=sorted(ends_of(expert, tokenizer)))
        box = BlackBox(
            TextTopLogprobs(Endpoint(served.url, "x")), offsets, TokenStrings(tokenizer), how
        )
        wanted = [box.write(question["question"]) for question in QUESTIONS]
    assert [record["id"] for record in records] == [question["id"] for question in QUESTIONS]
    for record, written in zip(records, wanted, strict=True):
        assert record["continuation"] == written.text
        assert record["ended"] == written.ended
        assert record["certain"] == written.is_certain
        assert record["num_tokens"] == len(record["tokens"]) == len(written.tokens)
        assert record["num_certain"] == sum(token["certain"] for token in record["tokens"])
        for token, written_token in zip(record["tokens"], written.tokens, strict=True):
            assert token["token"] == written_token.text
            for name in ("p", "low", "high"):
                assert token[name] == pytest.approx(getattr(written_token, name), abs=1e-5)
    certain = sum(record["certain"] for record in records)
    assert f"texts        5, of which {certain} are certain" in capsys.readouterr().out


def test_what_an_endpoint_refuses_for_a_while_is_asked_again(parts, experts, tmp_path):
    with serving(model=parts[1], tokenizer=parts[0]) as served:
        served.script = [(*BUSY, {}), (503, {}, {}), 0.5]
        quick = "--model.init_args.method.endpoint.init_args.patience.timeout=0.2"
        records = black_box(tmp_path, experts, served, quick, questions=QUESTIONS[:1])
        assert len(served.requests) == 3 + records[0]["num_tokens"]


def busy_after(served, num, tries):
    """Make the endpoint refuse some requests in a row, after a number of successful ones."""
    real, refusal = served.text, (*BUSY, {"error": {"message": "too many requests"}})

    def text(fields):
        answer = real(fields)
        if len(served.requests) == num:
            served.script += [refusal] * tries
            served.text = real
        return answer

    served.text = text


def test_an_endpoint_that_stays_busy_ends_the_run_and_the_next_one_goes_on(
    parts, experts, tmp_path, capsys
):
    endpoint = "--model.init_args.method.endpoint.init_args"
    tries = (f"{endpoint}.patience.tries=2", "--data.init_args.batch_size=1")
    answers = tmp_path / "answers.jsonl"
    with serving(model=parts[1], tokenizer=parts[0]) as served:
        whole = black_box(tmp_path, experts, served, *tries)
        calls = asked(served)
        answers.unlink()
        served.requests.clear()
        busy_after(served, calls["q0"] + calls["q1"], tries=2)
        message = r"question 'q2': /v1/completions: status 429: too many requests \(after"
        with refused(message):
            black_box(tmp_path, experts, served, *tries)
        assert asked(served) == {"q0": calls["q0"], "q1": calls["q1"], "q2": 2}
        assert lines(answers) == whole[:2]
        with answers.open("a") as file:
            file.write('{"id": "q2", "quest')  # killed while it wrote
        served.requests.clear()
        capsys.readouterr()
        with pytest.warns(UserWarning, match="answers.jsonl:3"):
            records = black_box(tmp_path, experts, served, *tries)
    assert asked(served) == {name: calls[name] for name in ("q2", "q3", "q4")}
    assert records == whole
    assert "texts        5, of which" in capsys.readouterr().out


@pytest.mark.parametrize("api", ["text", "chat"])
def test_a_question_with_choices_gets_one_of_them(api, parts, experts, tmp_path, capsys):
    rows = [{**question, "choices": [" A", " B", " C"], "right": 1} for question in QUESTIONS[:3]]
    flags = [f"--model.init_args.method.api={api}", "--model.init_args.method.top_k=270"]
    columns = {"choices": "choices", "answer": "right", "fields": {"question": "question"}}
    with serving(model=parts[1], tokenizer=parts[0]) as served:
        records = black_box(tmp_path, experts, served, *flags, questions=rows, **columns)
        assert len(served.requests) == 3
    tokenizer, base, expert, antiexpert = parts
    for record in records:
        ids = torch.tensor([tokenizer.encode(record["question"])])
        with torch.no_grad():
            own, tuned, untuned = (m(ids).logits[0, -1] for m in (base, expert, antiexpert))
        score = (own + tuned - untuned).log_softmax(0)
        spelled = {c: tokenizer.encode(c) + tokenizer.encode(c.strip()) for c in (" A", " B", " C")}
        mass = {
            name: sum(float(score[i].exp()) for i in {*ids} if is_single(tokenizer, i, name))
            for name, ids in spelled.items()
        }
        assert record["choice"] == max(mass, key=mass.get)
        assert record["right"] == " B"
        assert not record["dropped"]
    assert "right of 3" in capsys.readouterr().out


def is_single(tokenizer, token, choice):
    return tokenizer.decode([token]) in (choice, choice.strip())


def test_a_question_too_long_for_the_experts_loses_the_end_of_its_context(parts, experts, tmp_path):
    rows = [{"id": "q0", "context": "the cat sat on the log. " * 60, "question": "the dog"}]
    prompt = "--model.init_args.method.prompt={context} {question}"
    with serving(model=parts[1], tokenizer=parts[0]) as served:
        with pytest.warns(UserWarning, match="end of its context was cut off"):
            black_box(tmp_path, experts, served, prompt, questions=rows)
        asked_for = served.requests[0][2]["prompt"]
    assert asked_for.endswith("the dog")
    assert len(parts[0].encode(asked_for)) == 256 - 3


def test_experts_of_unlike_vocabularies_are_refused(parts, experts, tmp_path):
    other = tmp_path / "other"
    tiny_model("llama", 270, 5).save_pretrained(other)
    byte_tokenizer(270).save_pretrained(other)
    with serving(model=parts[1], tokenizer=parts[0]) as served:
        flag = f"--model.init_args.method.antiexpert.path={other}"
        with refused("the anti-expert has another vocabulary"):
            black_box(tmp_path, experts, served, flag)
