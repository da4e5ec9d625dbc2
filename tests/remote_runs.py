"""Real runs through the front door that ask an endpoint of this machine."""

import json

from cli import main
from modules.decoding.answers import parsed
from tests.endpoint_stand_ins import byte_tokenizer, tiny_model


def tiny_parts():
    """Tokenizer, base, expert, anti-expert."""
    tokenizer = byte_tokenizer()
    seeds = ((0, 20.0), (1, 8.0), (2, 8.0))
    return tokenizer, *(tiny_model("llama", len(tokenizer), *seed) for seed in seeds)


def save_experts(parts, folder):
    tokenizer, _, *models = parts
    for name, model in zip(("expert", "antiexpert"), models, strict=True):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def lines(path):
    found = (parsed(line) for line in path.read_bytes().splitlines())
    return [one for one in found if one is not None]


def run(config, folder, questions, url, *flags, place="method.endpoint", **options):
    """Predict through the front door; the records."""
    asked = folder / "questions.jsonl"
    asked.write_text("".join(json.dumps(one) + "\n" for one in questions))
    named = {"path": str(asked), "id": "id", **options}
    source = {"class_path": "datamodules.question_files.JsonlQuestions", "init_args": named}
    endpoint = f"--model.init_args.{place}.init_args"
    answers = folder / "answers.jsonl"
    main(
        [
            "predict",
            f"--config=configs/decoding/{config}.yaml",
            f"--trainer.logger.init_args.root={folder / 'runs'}",
            "--trainer.accelerator=cpu",
            f"--data.init_args.predict={json.dumps([source])}",
            f"--data.init_args.answers={answers}",
            f"{endpoint}.base_url={url}",
            *flags,
        ]
    )
    return lines(answers)
