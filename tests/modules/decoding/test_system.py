import json

import pytest

from cli import main
from modules.decoding.system import Decoding
from tests.conftest import TEXTS
from tests.fixtures.runs import refused

FIELDS = [
    {"id": str(n), "context": text[:60], "question": text[:20]} for n, text in enumerate(TEXTS[:5])
]


@pytest.fixture
def models(tmp_path, tokenizer_folder):
    """Folders of two tiny models that share a tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=300, num_attention_heads=4, max_position_embeddings=256, **sizes
    )
    for seed, name in enumerate(("large", "small", "tuned")):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(tmp_path / name)
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / name)
    return tmp_path


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(fields) + "\n" for fields in FIELDS))
    return path


def source(questions, **options):
    named = {"path": str(questions), "id": "id", **options}
    return [{"class_path": "datamodules.questions.files.JsonlQuestions", "init_args": named}]


def run(command, config, folder, *flags):
    root = f"--trainer.logger.init_args.root={folder / 'runs'}"
    main([command, f"--config=configs/decoding/{config}.yaml", root, *flags])
    return max((folder / "runs").glob("*/*/*"), key=lambda path: path.stat().st_mtime)


def method(name):
    return f"--model.init_args.method.init_args.{name}"


def context_aware(models):
    return [
        f"{method('model.path')}={models / 'large'}",
        f"{method('with_context')}={{context}} {{question}}",
        "--model.init_args.generation.max_new_tokens=6",
    ]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predict_answers_every_question_and_tells_every_branch(models, questions, tmp_path):
    flags = [*context_aware(models), "--model.init_args.per_token=true"]
    folder = run(
        "predict",
        "context_aware",
        tmp_path,
        *flags,
        f"--data.init_args.predict={json.dumps(source(questions))}",
        "--data.init_args.batch_size=2",
    )
    records = lines(folder / "predictions.jsonl")
    assert [record["id"] for record in records] == ["0", "1", "2", "3", "4"]
    for record in records:
        for token in record["tokens"]:
            assert set(token) == {"token", "combined", "with_context", "without_context"}
        assert isinstance(record["continuation"], str)
        assert record["num_cut"] == 0


def test_a_half_finished_file_is_gone_on_with_without_repeats(models, questions, tmp_path):
    answers = tmp_path / "answers.jsonl"
    flags = [
        *context_aware(models),
        f"--data.init_args.predict={json.dumps(source(questions))}",
        f"--data.init_args.answers={answers}",
    ]
    run("predict", "context_aware", tmp_path, *flags)
    whole = answers.read_text()
    kept = whole.splitlines()
    answers.write_text("\n".join(kept[:2]) + "\n" + kept[2][:20])  # killed while it wrote
    with pytest.warns(UserWarning, match="answers.jsonl:3"):
        run("predict", "context_aware", tmp_path, *flags)
    sound = answers.read_text().splitlines()
    assert sound == kept


def test_drawn_answers_do_not_depend_on_batches_or_on_what_is_answered_already(
    models, questions, tmp_path
):
    answers = tmp_path / "answers.jsonl"
    flags = [
        *context_aware(models),
        f"--data.init_args.predict={json.dumps(source(questions))}",
        "--model.init_args.generation.temperature=1.2",
        "--model.init_args.num_answers=2",
    ]

    def answered(*more, into=None):
        folder = run("predict", "context_aware", tmp_path, *flags, *more)
        return lines(into or folder / "predictions.jsonl")

    together = answered("--data.init_args.batch_size=5")
    assert answered("--data.init_args.batch_size=1") == together
    assert len({tuple(record["continuation"]) for record in together}) == 5
    assert all(first != second for first, second in (record["continuation"] for record in together))
    answers.write_text("".join(json.dumps(record) + "\n" for record in together[:2]))
    more = "--data.init_args.batch_size=2", f"--data.init_args.answers={answers}"
    assert answered(*more, into=answers) == together
    assert answered("--model.init_args.generation.seed=1") != together


def test_proxy_tuning_with_equal_experts_writes_what_the_base_does(models, questions, tmp_path):
    flag = f"--data.init_args.predict={json.dumps(source(questions))}"
    greedy = ["--model.init_args.generation.temperature=0"]
    short = "--model.init_args.generation.max_new_tokens=8"
    by_alpha = {}
    for alpha in ("1.0", "0.0"):
        flags = [f"{method('alpha')}={alpha}", flag, short, *greedy]
        flags += [
            f"{method(name + '.path')}={models / 'small'}" for name in ("expert", "antiexpert")
        ]
        flags += [f"{method('base.path')}={models / 'large'}"]
        folder = run("predict", "proxy_tuning", tmp_path, *flags)
        by_alpha[alpha] = [record["continuation"] for record in lines(folder / "predictions.jsonl")]
    assert by_alpha["1.0"] == by_alpha["0.0"]


def test_in_context_alignment_demonstrates_and_samples_twice(models, questions, tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_text(
        "".join(json.dumps({"prompt": t[:20], "response": t[20:40]}) + "\n" for t in TEXTS)
    )
    alignment = {
        "class_path": "modules.decoding.alignment.InContextAlignment",
        "init_args": {
            "pool": {
                "class_path": "datamodules.questions.demonstrations.FileDemonstrations",
                "init_args": {"path": str(pool), "prompt": "{prompt}", "response": "{response}"},
            },
            "retriever": {"class_path": "modules.prompting.retrieval.BM25"},
            "budget": {"total": 100, "prompt": 200},
        },
    }
    records = [json.dumps({"id": fields["id"], "prompt": fields["question"]}) for fields in FIELDS]
    questions.write_text("\n".join(records) + "\n")
    folder = run(
        "predict",
        "in_context_alignment",
        tmp_path,
        f"{method('model.path')}={models / 'large'}",
        f"{method('alignment')}={json.dumps(alignment)}",
        f"--data.init_args.predict={json.dumps(source(questions))}",
        "--model.init_args.generation.max_new_tokens=6",
    )
    for record in lines(folder / "predictions.jsonl"):
        assert len(record["continuation"]) == 2


def test_a_test_measures_choices_and_answers(models, tmp_path, capsys):
    path = tmp_path / "choices.jsonl"
    rows = [
        {**fields, "choices": [" a", " b"], "answer": 0, "wanted": fields["question"]}
        for fields in FIELDS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    long = {"id": "long", "context": "the cat sat on a mat. " * 60, "question": "Where?"}
    rows.append({**long, "choices": [" a", " the mat"], "answer": 1, "wanted": "the mat"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"choices": "choices", "answer": "answer", "references": "wanted"}
    folder = run(
        "test",
        "context_aware",
        tmp_path,
        *context_aware(models),
        f"--data.init_args.test={json.dumps(source(path, **columns))}",
        '--model.init_args.measures=[{"class_path": "modules.decoding.evaluate.Rouge"}]',
    )
    header, *values = (folder / "metrics.csv").read_text().splitlines()
    metrics = dict(zip(header.split(","), values[-1].split(","), strict=True))
    assert float(metrics["test/choice_accuracy_count"]) == 6
    assert float(metrics["test/questions"]) == 6
    assert float(metrics["test/num_cut"]) == 1
    assert 0 <= float(metrics["test/choice_accuracy"]) <= 1
    assert float(metrics["test/rouge_l_count"]) == 6


def test_a_model_that_is_not_there_is_told_in_one_line(questions, tmp_path):
    with refused("no model folder"):
        run(
            "predict",
            "context_aware",
            tmp_path,
            f"{method('model.path')}={tmp_path / 'nowhere'}",
            f"--data.init_args.predict={json.dumps(source(questions))}",
        )


def test_a_measure_that_cannot_be_loaded_ends_a_test_before_the_first_answer(
    models, questions, tmp_path, monkeypatch
):
    answered = []
    monkeypatch.setattr(Decoding, "answers", lambda self, *asked: answered.append(asked))
    init_args = {"path": str(tmp_path / "nowhere"), "layer": 1, "field": "context"}
    measure = {"class_path": "modules.decoding.evaluate.BertPrecision", "init_args": init_args}
    with refused("nowhere"):
        run(
            "test",
            "context_aware",
            tmp_path,
            *context_aware(models),
            f"--data.init_args.test={json.dumps(source(questions))}",
            f"--model.init_args.measures={json.dumps([measure])}",
        )
    assert answered == []
