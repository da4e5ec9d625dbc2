"""Labelled texts for classifiers, such as detectors of machine-written text, and inputs of predict.

A batch is a dict (N = texts, W = their windows, L = tokens of the longest window); outside of
training it may have fewer texts than the batch size, or none:

- `token_WL`: int64; windows of texts, each with start and end, padded on the right.
- `mask_WL`: bool; True = real token.
- `windows_N`: list[int]; windows of each text, in order; they sum to W. One each in training.
- `label_N`: int64; index of the class in `classes`; -100 if unknown.
- `num_targets`: int; N. `step_targets`: the same over one optimizer step on this device.
- `row_N`: list[int]; index of each text among those of all sources.
- `text_N`, `pair_id_N`, `generator_N`, `domain_N`: list[str]; `generator` is `human` if a person
  wrote it.
- `paired_generator_N`: list[str]; generator of the pair of each text, empty without a pair.
- `attack_N`: list[str]; attack on each text, `none` for an unchanged one.
- `problem_N`: list[str]; why a text cannot be scored, empty if it can; such a text has no window.
- `origin_N`: list[str]; file and row.
- `density_N`: list[float]; tokens per byte of each text: high if it is in another language.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from datamodules.labelled_text.attacks import Attack
from datamodules.labelled_text.inputs import read_inputs
from datamodules.labelled_text.selection import Selection, choose
from datamodules.labelled_text.source import AS_IT_IS, LabelledSource
from datamodules.labelled_text.splits import check_fractions
from datamodules.labelled_text.table import TextTable
from datamodules.labelled_text.windows import Item, TextItems, Tokens
from datamodules.stream.checks import check_bounds, check_shares
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.length_buckets import Bucketed
from datamodules.stream.loader import EvaluationLoader, ResumableLoader
from datamodules.stream.order import Draws, Mixture
from datamodules.stream.stages import STAGES, Stage
from datamodules.text.token_cache import tokenised
from datamodules.text.token_file import TokenFile
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer


class LabelledTextData(ResumableData):
    """Texts with classes, such as human and machine, tokenised once for every selection.

    Args:
        tokenizer: Folder or hub name of the encoder's tokenizer.
        sources: Tables of texts.
        classes: Names of the classes by index; the second of two is the positive one. Rows of
            another label are refused.
        train: Training texts; each human text once.
        validate: Texts for calibration.
        test: Test texts.
        max_length: Tokens of a window, start and end included; longer texts are split into windows.
        balance: Whether training draws all classes equally often, whatever their sizes.
        plain: Whether texts are read in plain characters (`datamodules.text.derived.plain`),
            inputs and attacked ones too; line breaks and kinds of quotes then give nothing away.
        splits: Share of the texts of each split if tables have no split, such as
            `{train: 0.8, val: 0.1, test: 0.1}`: all rows of a text, by its pair or its words, are
            in one, decided by a hash.
        leaks: What happens if a text is in two splits: `refuse` names such texts, `drop`
            removes their rows from training, and from validation if they are in test.
        attacks: Attacks on test texts; each adds a changed copy of the machine texts, and of
            the human ones if it applies to all.
        texts: Inputs of predict: texts; or a table with a text per row, a `.txt` or `.md` file as
            one text, a folder of such files, or `-` for the standard input; None takes the test
            texts.
        key: Column of the texts in tables of inputs.
        batch_size: Texts per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        pool_size: Approximate number of training texts sorted together by length, for any batch and
            number of devices; 1 keeps them shuffled.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder for the tokenised texts.
        seed: Seed of selection and order.
        max_bad_rate: Share of unusable rows in a source above which the run stops.

    Raises:
        ValueError: A number is out of bounds, there is no source, two attacks have one name, splits
            do not sum to 1, or two stages take the same split; with more than two classes
            validation and test may.
    """

    def __init__(
        self,
        tokenizer: str,
        sources: list[LabelledSource],
        classes: list[str] = ["human", "machine"],  # noqa: B006 - never changed
        train: Selection = Selection("train"),  # noqa: B008 - frozen
        validate: Selection = Selection("val"),  # noqa: B008
        test: Selection = Selection("test"),  # noqa: B008
        max_length: int = 512,
        balance: bool = False,
        plain: bool = True,
        splits: dict[str, float] | None = None,
        leaks: Literal["refuse", "drop"] = "refuse",
        attacks: list[Attack] | None = None,
        texts: list[str] | str | None = None,
        key: str = "text",
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        pool_size: int = 2048,
        num_workers: int = 0,
        cache: str = ".cache/tokens",
        seed: int = 0,
        max_bad_rate: float = 0.01,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.sources = sources
        self.classes = list(classes)
        self.selections: dict[Stage, Selection] = {
            "train": train,
            "validate": validate,
            "test": test,
        }
        self.max_length = max_length
        self.balance = balance
        self.splits = splits
        self.attacks = attacks or []
        self.texts = texts
        self.key = key
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.pool_size = pool_size
        self.num_workers = num_workers
        self.cache = Path(cache)
        self.seed = seed
        self.max_bad_rate = max_bad_rate
        self._check()
        stages: tuple[Stage, ...] = ("test", "validate", "train")
        order = list(dict.fromkeys(self.selections[stage].split for stage in stages))
        dropped = order if leaks == "drop" else None
        self.table = TextTable(self.sources, self.classes, plain, splits, dropped)
        self._chosen: dict[Stage, list[int]] = {}
        self._files: list[TokenFile] | None = None

    @cached_property
    def vocabulary(self) -> TextTokenizer:
        """The tokenizer, read when first needed."""
        return load_tokenizer(self.tokenizer)

    # What Lightning asks for

    def prepare_data(self) -> None:
        """Tokenise the sources of this command; Lightning calls it on one process per node."""
        if self._stages():
            self._open()

    def setup(self, stage: str) -> None:
        """Choose the texts of this command and print their number."""
        for part in self._stages():
            labels = self.labelled_texts(part)[1]
            counts = [labels.count(number) for number in range(len(self.classes))]
            told = ", ".join(f"{n:,} {c}" for n, c in zip(counts, self.classes, strict=True))
            rank_zero_only(print)(f"{part}: {told}")

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training texts, batched by similar length."""
        texts = sorted(self._plain("train"), key=lambda item: item.label)
        items, lengths = self._items(texts, one_window=True)
        labels = [item.label for item in texts]
        sizes = [labels.count(number) for number in range(len(self.classes))]
        weights = [1.0] * len(sizes) if self.balance else [float(size) for size in sizes]
        order = Draws(Mixture(sizes, weights, self.seed))
        bucketed = Bucketed(order, lengths, self.pool_size, self.seed)
        return self.training_loader(items, bucketed, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader:
        """Every validation text once."""
        return self._evaluation(self._plain("validate"))

    def test_dataloader(self) -> EvaluationLoader:
        """Every test text once, then every attacked one."""
        return self._evaluation([*self._plain("test"), *self._attacked()])

    def predict_dataloader(self) -> EvaluationLoader:
        """Every input once, in order."""
        if self.texts is None:
            return self._evaluation(self._plain("test"))
        found = read_inputs(self.texts, self.key)
        items = [self.table.input_item(number, one) for number, one in enumerate(found)]
        return self._every_once(self._items(items)[0])

    def training_documents(self) -> Iterator[str]:
        """The training texts in order; needs no tokenizer."""
        yield from self.labelled_texts("train")[0]

    # What is selected

    def chosen(self, stage: Stage) -> list[int]:
        """Indices in `rows` of the texts of a stage.

        Raises:
            ValueError: There are too few texts, or a class has none.
        """
        if stage not in self._chosen:
            rows = self.table.rows
            self.table.check_splits({one.split for one in self.selections.values()})
            found = choose(rows, self.selections[stage], stage == "train", self.seed)
            for name in self.classes:
                if not any(rows[i].label == name for i in found):
                    raise ValueError(f"{stage}: none of the {len(found)} texts is {name}.")
            self._chosen[stage] = found
        return self._chosen[stage]

    def labelled_texts(self, stage: Stage) -> tuple[list[str], list[int]]:
        """Texts of a stage and the indices of their classes, for classifiers without a network."""
        items = self._plain(stage)
        return [item.text for item in items], [item.label for item in items]

    # Items and loaders

    def _plain(self, stage: Stage) -> list[Item]:
        return [self.table.item(i) for i in self.chosen(stage)]

    def _attacked(self) -> list[Item]:
        """A changed copy of the test texts for each attack."""
        return [
            self.table.item(i, attack)
            for attack in self.attacks
            for i in self.chosen("test")
            if attack.humans_too or not self.table.rows[i].is_human
            if self.table.rows[i].attack == AS_IT_IS
        ]

    def _items(self, items: list[Item], one_window: bool = False) -> tuple[TextItems, Tokens]:
        """Texts with their tokens, and the length of each, at most that of a window."""
        tokens = self._tokens(items)
        lengths = np.array([len(ids) for ids in tokens], np.int64).clip(max=self.max_length)
        pad, seed = self.vocabulary.pad, self.seed
        return TextItems(items, tokens, pad, self.max_length, one_window, seed), lengths

    def _tokens(self, items: list[Item]) -> list[Tokens]:
        """Token ids of each text: unchanged rows from the cache, others tokenised now."""
        fresh = [item.text for item in items if not item.is_row]
        made = iter(self.vocabulary.encode(fresh) if fresh else [])
        start, end = self.vocabulary.start, self.vocabulary.eos
        return [
            self.table.tokens(item.row, self._open())
            if item.is_row
            else np.array([start, *next(made), end], np.int64)
            for item in items
        ]

    def _evaluation(self, items: list[Item]) -> EvaluationLoader:
        """Every text once, the longest first, so that a lack of memory shows at once."""
        found, lengths = self._items(items)
        return self._every_once(found.ordered(np.argsort(-lengths, kind="stable")))

    def _every_once(self, items: TextItems) -> EvaluationLoader:
        return self.evaluation_loader(items, len(items), self.eval_batch_size, self.num_workers)

    def _open(self) -> list[TokenFile]:
        """The tokens of all sources, cached for every selection."""
        if self._files is None:
            self.table.check_splits({one.split for one in self.selections.values()})
            self._files = [
                tokenised(source, self.vocabulary, self.cache, self.max_bad_rate)
                for source in self.table.texts
            ]
        return self._files

    def _stages(self) -> tuple[Stage, ...]:
        """Stages whose texts this command reads."""
        command = None if self.trainer is None else self.trainer.state.fn
        name = "fit" if command is None else command.value
        if name == "predict":
            return ("test",) if self.texts is None else ()
        return STAGES[name]

    def _check(self) -> None:
        least = {"max_length": 3, "num_workers": 0, "seed": 0}
        least |= dict.fromkeys(("batch_size", "eval_batch_size", "pool_size"), 1)
        check_bounds(vars(self), least)
        check_shares(vars(self), ["max_bad_rate"])
        if self.splits is not None:
            check_fractions(self.splits)
        if not self.sources:
            raise ValueError("sources is empty: give it at least one table of texts.")
        if len(set(self.classes)) < 2:
            raise ValueError(f"classes must be at least two, got {', '.join(self.classes)}.")
        names = [attack.name for attack in self.attacks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"attacks has two that are called {twice[0]}.")
        split = {stage: one.split for stage, one in self.selections.items()}
        for stage in ("validate", "test"):
            if split[stage] == split["train"]:
                raise ValueError(f"train and {stage} both take the split {split['train']!r}.")
        if len(self.classes) == 2 and split["validate"] == split["test"]:
            raise ValueError(
                f"validate and test both take the split {split['test']!r}: the threshold would be "
                "chosen on the texts that it is tested on."
            )
