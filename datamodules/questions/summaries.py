"""Articles to summarise, with reference summaries."""

from dataclasses import replace

from typing_extensions import override

from datamodules.questions.files import ParquetQuestions
from datamodules.questions.source import Question
from datamodules.records.formats.columns import Record


class Summaries(ParquetQuestions):
    """Questions with the fields `article`, `context`, `question` and `prompt`.

    The context is the article with the prefix "Article:", the question is the instruction, the
    prompt is both, joined by a space (Shi et al., 2024).

    Args:
        path: Parquet with the columns article, summary and set: a file, a folder or a glob.
        subset: The set to read, such as cnn_dailymail; None reads all.
        instruction: The instruction for each article.
    """

    def __init__(
        self,
        path: str,
        subset: str | None = None,
        instruction: str = "Summarize the article in three sentences. Summary:",
    ):
        asked = instruction.replace("{", "{{").replace("}", "}}")
        super().__init__(
            path,
            fields={"article": "article"},
            templates={"context": "Article: {article}", "question": asked},
            references="summary",
            where=None if subset is None else {"set": subset},
        )

    @override
    def question(self, place: str, record: Record) -> Question:
        found = super().question(place, record)
        prompt = f"{found.fields['context']} {found.fields['question']}".strip()
        return replace(found, fields=found.fields | {"prompt": prompt})
