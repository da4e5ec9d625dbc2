"""Instruction tuning: which tokens are learnt, and that packing changes nothing of the loss."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from datamodules.instructions.chats import Conversation, turns
from datamodules.instructions.datamodule import InstructionData
from datamodules.instructions.source import InstructionFiles, InstructionHub
from datamodules.instructions.templates import CHATML, NAMED, PLAIN, chat_template
from datamodules.instructions.tokenizer import ChatTokenizer
from datamodules.records.document import BadSample, Document
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer

CHATS = [
    [("user", "Who are you?"), ("assistant", "A cat.")],
    [("system", "Be brief."), ("user", "One?"), ("assistant", "Two."), ("user", "Three?")],
    [("user", "A b"), ("assistant", "c d e"), ("user", "f\n\ng"), ("assistant", " h i ")],
]
UNMARKED = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
HEADS = {"user": "### Instruction:\n", "assistant": "### Response:\n", "system": ""}


def messages(chat: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in chat]


def write(path: Path, rows: list[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def vocabulary(tokenizer_folder) -> TextTokenizer:
    return load_tokenizer(tokenizer_folder)


@pytest.fixture
def chats(tmp_path) -> str:
    return write(tmp_path / "chats.jsonl", [{"messages": messages(chat)} for chat in CHATS])


def by_hand(vocabulary: TextTokenizer, chat: list[tuple[str, str]]) -> tuple[list[int], list[bool]]:
    """Ids and targets under the plain template, turn by turn; every turn is tokenised alone."""
    last = max(n for n, (role, _) in enumerate(chat) if role == "assistant")
    ids, learnt = [vocabulary.start], [False]
    for n, (role, content) in enumerate(chat[: last + 1]):
        head = ("\n\n" if n else "") + HEADS[role]
        body = content.strip()
        for text, is_answer in ((head, False), (body, role == "assistant")):
            new = vocabulary.encode([text])[0]
            ids, learnt = ids + new, learnt + [is_answer] * len(new)
        if role == "assistant":
            ids, learnt = [*ids, vocabulary.eos], [*learnt, True]
    return ids, learnt


def encoded(chat: ChatTokenizer, source: InstructionFiles):
    return list(chat.encode_documents(source.documents()))


def test_answers_alone_are_learnt_as_a_loop_over_the_turns_says(vocabulary, chats):
    documents = encoded(ChatTokenizer(vocabulary, PLAIN), InstructionFiles(chats))
    for document, chat in zip(documents, CHATS, strict=True):
        ids, learnt = by_hand(vocabulary, chat)
        assert vocabulary.backend.decode(document.ids) == vocabulary.backend.decode(ids)
        said = [content.strip() for role, content in chat if role == "assistant"]
        assert (
            spans(vocabulary, document)
            == [text + vocabulary.backend.eos_token for text in said]
            == spans(vocabulary, type(document)(ids, 0, learnt))
        )
        assert document.num_bytes == sum(len(c.encode()) for role, c in chat if role == "assistant")


def spans(vocabulary: TextTokenizer, document) -> list[str]:
    """The texts of the runs of targets."""
    edges = np.flatnonzero(np.diff([0, *map(int, document.is_target), 0])).reshape(-1, 2)
    return [vocabulary.backend.decode(document.ids[start:end]) for start, end in edges.tolist()]


def test_marks_and_prefixes_agree_and_ids_are_those_of_the_template(vocabulary, chats):
    marked, by_prefix = ChatTokenizer(vocabulary, CHATML), ChatTokenizer(vocabulary, UNMARKED)
    source = InstructionFiles(chats)
    pairs = zip(encoded(marked, source), encoded(by_prefix, source), strict=True)
    for (by_marks, by_prefixes), document in zip(pairs, source.documents(), strict=True):
        whole = vocabulary.backend.apply_chat_template(document.messages, chat_template=CHATML)
        ids = list(whole["input_ids"])
        # ChatML's marks are no special tokens of this tokenizer: the end is added after the answer
        assert by_marks.ids[-1] == by_prefixes.ids[-1] == vocabulary.eos
        assert by_marks.ids[:-1] == ids[: len(by_marks.ids) - 1]
        assert by_prefixes.ids[:-1] == ids
        texts = [
            text.removesuffix(vocabulary.backend.eos_token) for text in spans(vocabulary, by_marks)
        ]
        others = [
            text.removesuffix(vocabulary.backend.eos_token)
            for text in spans(vocabulary, by_prefixes)
        ]
        assert [text.rstrip("\n") for text in others] == texts


def test_the_last_answer_alone_can_be_learnt(vocabulary, chats):
    for template in (PLAIN, UNMARKED):
        document = encoded(ChatTokenizer(vocabulary, template, "last"), InstructionFiles(chats))[2]
        [only] = spans(vocabulary, document)
        assert "h i" in only
        assert "c d e" not in only


def test_a_template_that_rewrites_earlier_turns_is_told(vocabulary, chats):
    rewriting = "{% for m in messages %}{{ loop.revindex }}{{ m['content'] }}{% endfor %}"
    documents = encoded(ChatTokenizer(vocabulary, rewriting), InstructionFiles(chats))
    assert all(
        isinstance(document, BadSample) and "otherwise by themselves" in document.reason
        for document in documents
    )
    refusing = "{{ raise_exception('roles must alternate') }}"
    documents = encoded(ChatTokenizer(vocabulary, refusing), InstructionFiles(chats))
    assert all(document.reason == "TemplateError: roles must alternate" for document in documents)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "no answer"),
        ({"messages": messages([("user", "only asked")])}, "no answer"),
        ({"messages": messages([("user", "a"), ("assistant", " ")])}, "no answer"),
        ({"messages": "no list"}, "JSONDecodeError"),
        ({"messages": [{"role": "user", "content": 5}]}, "turn 1 says no text but int"),
        ({"messages": [["user"]]}, "turn 1 is not an object but list"),
        ({"messages": [{"content": "a"}]}, "turn 1 has no role among content"),
        ({"messages": messages([("user", "\ud800"), ("assistant", "b")])}, "surrogate"),
        ({"other": 1}, "no 'messages' among other"),
    ],
)
def test_a_sample_without_an_answer_or_with_a_broken_turn_is_counted(tmp_path, row, reason):
    good = {"messages": messages(CHATS[0])}
    documents = list(InstructionFiles(write(tmp_path / "a.jsonl", [good, row])).documents())
    assert isinstance(documents[0], Conversation)
    assert isinstance(documents[1], BadSample)
    assert reason in documents[1].reason


def test_other_forms_of_chats_are_read(tmp_path):
    expected = messages(CHATS[0])
    assert (
        turns([{"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "A cat."}])
        == expected
    )
    assert turns(json.dumps(expected)) == expected
    parts = [{"type": "text", "text": "Who are"}, {"type": "text", "text": " you?"}]
    assert turns([{"role": "user", "content": parts, "name": None}, expected[1]]) == expected
    path = write(tmp_path / "a.jsonl", [{"q": "Who are you?", "more": "", "a": "A cat."}])
    source = InstructionFiles(path, prompt="{q}\n\n{more}", response="a", system="Be brief.")
    [document] = source.documents()
    assert document.messages == [{"role": "system", "content": "Be brief."}, *expected]


def test_parts_share_no_question_and_leave_nothing_out(tmp_path):
    rows = [{"q": f"question {i % 40}", "a": f"answer {i}"} for i in range(80)]
    path = write(tmp_path / "a.jsonl", rows)
    parts = [
        list(InstructionFiles(path, prompt="q", response="a", part=part).documents())
        for part in ((0.0, 0.7), (0.7, 1.0))
    ]
    asked = [{conversation.messages[0]["content"] for conversation in part} for part in parts]
    assert len(parts[0]) + len(parts[1]) == 80
    assert not asked[0] & asked[1]
    assert 10 < len(asked[0]) < 39


@pytest.fixture
def data(tokenizer_folder, tmp_path, chats):
    def build(**options) -> InstructionData:
        defaults = {"row_length": 128, "cache": str(tmp_path / "cache"), "chat_template": "plain"}
        made = InstructionData(tokenizer_folder, [InstructionFiles(chats)], **defaults | options)
        made.prepare_data()
        made.setup("fit")
        return made

    return build


def test_the_loss_of_packed_rows_is_that_of_a_loop_over_conversations(data, vocabulary):
    torch.manual_seed(0)
    table = torch.randn(vocabulary.vocab_size, vocabulary.vocab_size)  # logits by the token before
    batch = next(iter(data(batch_size=1, row_length=256).train_dataloader()))
    total = F.cross_entropy(
        table[batch["token_BL"]].flatten(0, 1), batch["label_BL"].flatten(), reduction="sum"
    )
    expected, count = torch.zeros(()), 0
    for chat in CHATS:
        [document] = ChatTokenizer(vocabulary, PLAIN).encode_documents(
            [Conversation("x", "x", messages=turns(messages(chat)))]
        )
        for before, after, is_learnt in zip(
            document.ids, document.ids[1:], document.is_target[1:], strict=False
        ):
            if is_learnt:
                expected += F.cross_entropy(table[before], torch.tensor(after))
                count += 1
    assert batch["num_targets"] == count
    torch.testing.assert_close(total, expected)
    said = sum(len(c.encode()) for chat in CHATS for role, c in chat if role == "assistant")
    assert batch["num_bytes"] == pytest.approx(said)


def test_long_conversations_are_cut_dropped_or_refused(data, capsys):
    whole = data()._files("train")[0].lengths
    length = int(whole.max()) - 2
    made = data(row_length=length)
    assert "1 of 3 conversations are longer" in capsys.readouterr().out
    assert made._packed["train"][0].num_tokens == whole.clip(max=length).sum()
    made = data(row_length=length, long_samples="drop")
    assert made._packed["train"][0].num_dropped == 1
    with pytest.raises(ValueError, match=rf"chats\.jsonl:3 has {whole.max()} tokens, but a row"):
        data(row_length=length, long_samples="error")
    with pytest.raises(ValueError, match="no conversation has an answer within 4 tokens"):
        data(row_length=4)


def test_predict_asks_as_the_template_does(data, vocabulary):
    [batch] = data(prompts=["Who are you?"]).predict_dataloader()
    asked = "### Instruction:\nWho are you?\n\n### Response:\n"
    ids = batch["token_BL"][0].tolist()
    assert ids == [vocabulary.start, *vocabulary.encode([asked])[0]]
    assert batch["prompt"] == ["Who are you?"]


def test_without_a_template_the_run_is_refused_and_other_templates_are_read(vocabulary, tmp_path):
    with pytest.raises(ValueError, match="no chat template: set chat_template to one of plain"):
        chat_template(None, vocabulary.backend)
    vocabulary.backend.chat_template = "{{ 'own' }}"
    assert chat_template(None, vocabulary.backend) == "{{ 'own' }}"
    assert chat_template("chatml", vocabulary.backend) == NAMED["chatml"]
    (tmp_path / "a.jinja").write_text("{{ 'file' }}")
    assert chat_template(str(tmp_path / "a.jinja"), vocabulary.backend) == "{{ 'file' }}"
    with pytest.raises(FileNotFoundError):
        chat_template(str(tmp_path / "none.jinja"), vocabulary.backend)


def test_the_tokens_follow_the_template_and_what_is_learnt(vocabulary):
    kinds = [(PLAIN, "all"), (PLAIN, "last"), (CHATML, "all")]
    assert len({ChatTokenizer(vocabulary, *kind).fingerprint for kind in kinds}) == 3


def test_a_plain_document_is_no_conversation(vocabulary):
    [document] = ChatTokenizer(vocabulary, PLAIN).encode_documents([Document("text", "a:1")])
    assert isinstance(document, BadSample)


LLAMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}"
    "{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
THINKING = (  # what was thought is left out of all turns but the last
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<u>' + m['content'] + '\n' }}"
    "{% elif loop.last %}{{ '<a>\n' + m['content'] + eos_token }}"
    "{% else %}{{ '<a>\n' + m['content'].split('</t>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<a>\n' }}{% endif %}"
)


def test_a_prompt_that_ends_inside_of_a_token_is_refused(vocabulary):
    template = (
        "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ 'A: ' }}"
        "{% generation %}{{ message['content'] }}{% endgeneration %}"
        "{% else %}{{ message['content'] + '\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}"
    )
    asked = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "the cat sat"}]
    one = Conversation("x", "x", messages=asked)
    with pytest.raises(ValueError, match="tokenised together with the answer"):
        list(ChatTokenizer(vocabulary, template).encode_documents([one]))
    good = ChatTokenizer(vocabulary, template.replace("A: ", "A:\\n"))
    assert list(good.encode_documents([one]))


def test_templates_of_other_forms_are_learnt_by_prefixes(vocabulary, tmp_path):
    chat = [("user", "A"), ("assistant", "b c"), ("user", "d"), ("assistant", "e f")]
    source = InstructionFiles(write(tmp_path / "a.jsonl", [{"messages": messages(chat)}]))
    [document] = encoded(ChatTokenizer(vocabulary, LLAMA2), source)
    end = vocabulary.backend.eos_token
    assert spans(vocabulary, document) == [f" b c {end}", f" e f {end}"]
    assert document.ids.count(vocabulary.start) == 1


def test_where_a_template_leaves_out_thoughts_the_last_answer_can_be_learnt(vocabulary, tmp_path):
    chat = [("user", "A"), ("assistant", "x</t>b"), ("user", "d"), ("assistant", "y</t>e")]
    source = InstructionFiles(write(tmp_path / "a.jsonl", [{"messages": messages(chat)}]))
    [bad] = encoded(ChatTokenizer(vocabulary, THINKING), source)
    assert isinstance(bad, BadSample)
    [document] = encoded(ChatTokenizer(vocabulary, THINKING, "last"), source)
    assert spans(vocabulary, document) == [f"y</t>e{vocabulary.backend.eos_token}"]


def test_conversations_of_a_dataset_of_the_hub_are_those_of_its_files(tmp_path):
    from datasets import Dataset

    rows = [{"messages": messages(chat), "q": "A", "a": "b"} for chat in CHATS]
    path = write(tmp_path / "rows.jsonl", rows)
    Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    for options in ({}, {"prompt": "{q}?", "response": "a"}):
        files = InstructionFiles(path, **options).documents()
        hub = InstructionHub(str(tmp_path / "saved"), **options)
        assert [chat.messages for chat in hub.documents()] == [chat.messages for chat in files]
    assert hub.fingerprint() != InstructionHub(str(tmp_path / "saved")).fingerprint()
    with pytest.raises(ValueError, match="no column 'chat'; it has messages, q, a"):
        list(InstructionHub(str(tmp_path / "saved"), messages="chat").documents())
