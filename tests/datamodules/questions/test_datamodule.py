import json

import lightning as L
import pytest
import torch

from datamodules.questions.datamodule import QuestionData
from datamodules.questions.files import JsonlQuestions
from datamodules.questions.source import Question, QuestionSource
from datamodules.records.document import BadSample


class Given(QuestionSource):
    """Questions as they are given."""

    def __init__(self, *questions: Question | BadSample, name: str = "given"):
        self.given = questions
        self.kind = name

    @property
    def name(self) -> str:
        return self.kind

    def questions(self):
        yield from self.given


class Asked(L.LightningModule):
    """Remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[str] = []

    def training_step(self, batch, batch_idx):
        raise AssertionError("nothing to train on")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def test_step(self, batch, batch_idx):
        self.seen += batch["id"]

    def predict_step(self, batch, batch_idx):
        self.seen += batch["id"]
        return batch["id"]


def numbered(num: int, start: int = 0, **fields: str) -> list[Question]:
    numbers = [str(n) for n in range(start, start + num)]
    return [Question(n, f"a:{n}", {"question": f"q{n}"} | fields) for n in numbers]


def batches(data: QuestionData, command: str = "predict"):
    data.setup(command)
    return list(data.predict_dataloader() if command == "predict" else data.test_dataloader())


def asked(data: QuestionData, command: str = "predict") -> list[str]:
    return [id for batch in batches(data, command) for id in batch["id"]]


def trainer() -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_a_batch_has_one_entry_a_question_under_every_key():
    questions = [
        Question("a", "f:1", {"context": "c", "question": "q"}, ["one", "two"]),
        Question("b", "f:2", {"prompt": "p"}, choices=[" x", " y"], answer=1),
        Question("c", "f:3", {"prompt": "r"}),
    ]
    of_questions = batches(QuestionData([Given(*questions)], batch_size=2))
    assert of_questions == [
        {
            "id": ["a", "b"],
            "question": [{"context": "c", "question": "q"}, {"prompt": "p"}],
            "reference": [["one", "two"], []],
            "choices": [[], [" x", " y"]],
            "answer": [-1, 1],
        },
        {
            "id": ["c"],
            "question": [{"prompt": "r"}],
            "reference": [[]],
            "choices": [[]],
            "answer": [-1],
        },
    ]


def test_each_command_asks_its_own_sources_or_the_others():
    first_source, second_source = Given(*numbered(2)), Given(*numbered(3, start=7))
    both = QuestionData([first_source], [second_source])
    assert asked(both, "test") == ["0", "1"]
    assert asked(both, "predict") == ["7", "8", "9"]
    assert asked(QuestionData([first_source]), "predict") == ["0", "1"]
    assert asked(QuestionData(predict=[second_source]), "test") == ["7", "8", "9"]


def test_sources_follow_each_other_and_the_limit_is_of_each():
    sources = [Given(*numbered(5)), Given(*numbered(2, start=5)), Given(*numbered(5, start=7))]
    assert asked(QuestionData(sources)) == [str(n) for n in range(12)]
    assert asked(QuestionData(sources, limit=3)) == ["0", "1", "2", "5", "6", "7", "8", "9"]


def test_devices_share_the_questions_and_one_without_any_gets_empty_lists(monkeypatch):
    by_device = []
    for rank in (0, 1):
        monkeypatch.setattr(QuestionData, "replica", lambda self, rank=rank: (rank, 2))
        by_device.append(batches(QuestionData([Given(*numbered(5))], batch_size=2)))
    assert [[batch["id"] for batch in own] for own in by_device] == [
        [["0", "1"], ["4"]],
        [["2", "3"], []],
    ]
    assert by_device[1][1] == {
        "id": [],
        "question": [],
        "reference": [],
        "choices": [],
        "answer": [],
    }


def test_empty_fields_are_told_and_asked():
    questions = numbered(3, context="c") + numbered(2, start=3, context="")
    with pytest.warns(UserWarning, match="given: of 5 questions 2 have an empty 'context'"):
        assert len(asked(QuestionData([Given(*questions)]))) == 5


def test_bad_ones_are_counted_and_named_and_too_many_stop_the_run():
    mixed = [*numbered(3), BadSample("b.jsonl:7", "broken JSON")]
    with pytest.warns(UserWarning, match=r"given: 1 of 4 .* are bad.*b\.jsonl:7 \(broken JSON\)"):
        assert asked(QuestionData([Given(*mixed)], max_bad_rate=0.5)) == ["0", "1", "2"]
    with pytest.raises(ValueError, match=r"b\.jsonl:7 \(broken JSON\).*More than 10\.00% stops"):
        asked(QuestionData([Given(*mixed)], max_bad_rate=0.1))


def test_a_source_without_a_good_question_is_refused():
    with pytest.raises(ValueError, match="given holds no"):
        asked(QuestionData([Given()]))


def test_two_questions_of_one_id_are_refused_with_their_places():
    twins = [Question("a", "x:1", {"q": "1"}), Question("a", "y:9", {"q": "2"})]
    with pytest.raises(ValueError, match=r"the id 'a' \(x:1 and y:9\)"):
        asked(QuestionData([Given(twins[0]), Given(twins[1])]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no questions: give test or predict a source"),
        ({"test": []}, "no questions"),
        ({"test": [Given()], "batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"test": [Given()], "limit": 0}, "limit must be at least 1, got 0"),
        ({"test": [Given()], "max_bad_rate": 2.0}, r"max_bad_rate must be within \[0, 1\], got 2"),
    ],
)
def test_options_out_of_bounds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QuestionData(**options)


def test_training_on_questions_is_refused():
    data = QuestionData([Given(*numbered(2))])
    with pytest.raises(ValueError, match="fit has nothing to do: questions are for test and pred"):
        trainer().fit(Asked(), datamodule=data)
    with pytest.raises(ValueError, match="validate has nothing to do"):
        data.setup("validate")


def test_the_trainer_asks_every_question_once():
    for command in ("predict", "test"):
        system = Asked()
        getattr(trainer(), command)(system, datamodule=QuestionData([Given(*numbered(5))], None, 2))
        assert system.seen == [str(n) for n in range(5)]


# Resuming


def test_answered_questions_are_left_out_of_predict_but_not_of_test(tmp_path, capsys):
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(f'{{"id": "{n}", "text": "x"}}\n' for n in (0, 3)))
    data = QuestionData([Given(*numbered(5))], answers=str(file))
    assert asked(data, "test") == [str(n) for n in range(5)]
    assert asked(data, "predict") == ["1", "2", "4"]
    assert "has answers to 2 of 5 questions; 3 are left" in capsys.readouterr().out


def test_a_missing_file_of_answers_has_none(tmp_path, capsys):
    data = QuestionData([Given(*numbered(2))], answers=str(tmp_path / "none.jsonl"))
    assert asked(data) == ["0", "1"]
    assert "answers to 0 of 2 questions" in capsys.readouterr().out


def test_a_line_that_was_cut_off_is_told_and_its_question_asked_again(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"id": "0", "text": "x"}\n{"id": "1", "te')
    with pytest.warns(UserWarning, match=r"1 lines are no answers.*answers\.jsonl:2 \(broken"):
        assert asked(QuestionData([Given(*numbered(3))], answers=str(file))) == ["1", "2"]


def test_a_glob_of_answers_is_read_whole_and_numbers_are_ids(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"id": 0}\n')
    (tmp_path / "p.1.jsonl").write_text('\n{"id": "2"}\n')
    data = QuestionData([Given(*numbered(4))], answers=str(tmp_path / "p*.jsonl"))
    assert asked(data) == ["1", "3"]


def test_a_file_that_names_no_question_is_refused(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"prompt": "x"}\n')
    with pytest.raises(ValueError, match=r"names its question.*no 'id' among prompt"):
        asked(QuestionData([Given(*numbered(3))], answers=str(file)))


def test_answers_to_other_questions_are_told(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"id": "0"}\n{"id": "other"}\n{"text": ""}\n')
    data = QuestionData([Given(*numbered(2))], answers=str(file))
    with (
        pytest.warns(UserWarning, match="has 1 answers to other questions"),
        pytest.warns(UserWarning, match=r"answers\.jsonl:3 \(no 'id' among text\)"),
    ):
        assert asked(data) == ["1"]


@pytest.mark.filterwarnings("ignore:.*are no answers")
def test_a_run_that_is_cut_off_anywhere_and_resumed_asks_everything_once(tmp_path):
    """Cut a whole file of answers at every byte; what is left and what is asked are the whole."""
    questions = numbered(4)
    whole = "".join(
        json.dumps({"id": question.id, "text": f"ü{question.id}"}) + "\n" for question in questions
    )
    file = tmp_path / "answers.jsonl"
    for size in range(len(whole.encode())):
        file.write_bytes(whole.encode()[:size])
        kept = [line for line in whole.encode()[:size].split(b"\n") if line.endswith(b"}")]
        left = asked(QuestionData([Given(*questions)], answers=str(file)))
        assert [json.loads(line)["id"] for line in kept] + left == ["0", "1", "2", "3"]


@pytest.mark.filterwarnings("ignore:Total length of")
def test_where_everything_is_answered_the_trainer_has_nothing_to_ask(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"id": "0"}\n{"id": "1"}\n')
    system = Asked()
    trainer().predict(system, datamodule=QuestionData([Given(*numbered(2))], answers=str(file)))
    assert system.seen == []


def test_ids_of_files_stay_the_same_from_run_to_run(tmp_path):
    file = tmp_path / "set" / "q.jsonl"
    file.parent.mkdir()
    file.write_text('{"question": "one"}\n\n{"question": "two"}\n')
    assert asked(QuestionData([JsonlQuestions(str(file))])) == ["set/q.jsonl:1", "set/q.jsonl:3"]
    assert asked(QuestionData([JsonlQuestions(str(file.parent))])) == [
        "set/q.jsonl:1",
        "set/q.jsonl:3",
    ]
