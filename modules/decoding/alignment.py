"""In-context alignment: retrieved demonstrations make an untuned model follow instructions.

Han, 2023. For each question, demonstrations of similar questions are retrieved, packed into a token
budget, and put before the question, the most similar one last.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from modules.prompting.budget import Budget, Packing, pack
from modules.prompting.demonstrations import Demonstration, DemonstrationSource, Pool
from modules.prompting.question import Question
from modules.prompting.retrieval import Retriever
from modules.prompting.templates import DemonstrationTemplate, ExampleAnswers, num_tokens


class AlignedPrompt(NamedTuple):
    """A prompt and its demonstrations.

    Attributes:
        text: The prompt; to be tokenised without special tokens.
        shown: The demonstrations in the prompt's order, the most similar one last.
        scores: The retriever's score of each.
        packing: Which candidates were kept, and how many were not.
    """

    text: str
    shown: list[Demonstration]
    scores: list[float]
    packing: Packing


class InContextAlignment:
    """Makes prompts for an untuned model.

    Args:
        pool: Questions with good answers.
        retriever: Builds the retriever from the prompts of the pool; no demonstrations if None.
        template: Writes prompts; the paper's if None.
        budget: Token limits of demonstrations.
        num_candidates: Number of demonstrations retrieved before packing.
        keep_same: Whether a question may retrieve itself, which leaks its answer if questions are
            taken from the pool.

    Raises:
        ValueError: `num_candidates` is below 1.
    """

    def __init__(
        self,
        pool: DemonstrationSource,
        retriever: Callable[[list[str]], Retriever] | None,
        template: DemonstrationTemplate | None = None,
        budget: Budget = Budget(),  # noqa: B008 - frozen
        num_candidates: int = 20,
        keep_same: bool = False,
    ):
        if num_candidates < 1:
            raise ValueError(f"num_candidates must be at least 1, got {num_candidates}.")
        self.pool = Pool(pool)
        self.make_retriever = retriever
        self.template = ExampleAnswers() if template is None else template
        self.budget = budget
        self.num_candidates = num_candidates
        self.keep_same = keep_same

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer."""
        return self.template.stops

    def prompt(self, question: Mapping[str, str], tokenizer: Any) -> str:
        """The prompt of one question."""
        return self.prompts([question], tokenizer)[0]

    def prompts(self, questions: Sequence[Mapping[str, str]], tokenizer: Any) -> list[str]:
        """The prompts of several questions, each as if it were alone."""
        return [one.text for one in self.aligned(questions, tokenizer)]

    def aligned(
        self, questions: Sequence[Mapping[str, str]], tokenizer: Any
    ) -> list[AlignedPrompt]:
        """The prompts with their demonstrations.

        Args:
            questions: What is asked, by field.
            tokenizer: Of the model that reads the prompts.

        Raises:
            ValueError: A question lacks a field, or is empty.
        """
        texts = [self.pool.question(one) for one in questions]
        candidates = self.candidates(texts)
        pairs = zip(texts, candidates, strict=True)
        return [self._packed(text, found, tokenizer) for text, found in pairs]

    def candidates(self, texts: list[str]) -> list[list[tuple[int, float]]]:
        """Indices of demonstrations and their scores for each question, the best first."""
        if self.make_retriever is None:
            return [[] for _ in texts]
        left_out = [set() if self.keep_same else set(self.pool.same(text)) for text in texts]
        wanted = self.num_candidates + max(map(len, left_out), default=0)
        index_QK, score_QK = self.retriever.rank(texts, wanted)
        found = []
        for index_K, score_K, out in zip(index_QK, score_QK, left_out, strict=True):
            pairs = zip(index_K.tolist(), score_K.tolist(), strict=True)
            found.append([pair for pair in pairs if pair[0] not in out][: self.num_candidates])
        return found

    @cached_property
    def retriever(self) -> Retriever:
        """The retriever, built when first needed.

        Raises:
            ValueError: The config names none.
        """
        if self.make_retriever is None:
            raise ValueError("there is no retriever, hence no demonstrations.")
        return self.make_retriever(self.pool.prompts)

    def _packed(self, text: str, found: list[tuple[int, float]], tokenizer: Any) -> AlignedPrompt:
        candidates = [self.pool.demonstrations[index] for index, _ in found]
        lengths = [self.template.length(one, tokenizer) for one in candidates]
        packing = pack(lengths, self.budget)
        prompt, shown = self._written(text, candidates, packing, tokenizer)
        while shown and self._is_too_long(prompt, tokenizer):
            packing = packing.without_last(lengths)
            prompt, shown = self._written(text, candidates, packing, tokenizer)
        scores = [found[index][1] for index in packing.kept[::-1]]
        return AlignedPrompt(prompt, shown, scores, packing)

    def _written(
        self, text: str, candidates: Sequence[Demonstration], packing: Packing, tokenizer: Any
    ) -> tuple[str, list[Demonstration]]:
        """The prompt and the demonstrations in it."""
        shown = [candidates[index] for index in packing.kept[::-1]]
        return self.template.render(shown, text, tokenizer), shown

    def _is_too_long(self, prompt: str, tokenizer: Any) -> bool:
        most = self.budget.prompt
        return most is not None and num_tokens(prompt, tokenizer) > most


class Demonstrated:
    """A prompt with retrieved demonstrations before the question.

    Args:
        alignment: Retrieves and packs them.
    """

    special_tokens = False

    def __init__(self, alignment: InContextAlignment):
        self.alignment = alignment

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question."""
        return self.alignment.prompt(question, tokenizer)
