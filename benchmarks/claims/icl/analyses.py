"""What sets the documents apart that icl/tiny selects: the three analyses of Han et al. (2023).

Token frequencies, the gain of long contexts and closeness to the task, beside 32 random groups of
as many documents. What measures is another model than the one that selected: the same network,
trained from another seed on other documents. Contexts are as long as documents of 34 tokens allow.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import AutoTokenizer

from benchmarks.bench.from_config import Configured, configured
from benchmarks.bench.harness import Bench
from datamodules.in_context.pool import DocumentPool
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.tokens.prompts import document_prefix
from modules.icl.analysis.comparison import (
    Analyses,
    domain_relevance,
    long_context,
    token_frequency,
)
from modules.icl.analysis.features import mean_hidden_states
from modules.icl.analysis.groups import Difference, Groups
from modules.icl.analysis.information_gain import information_gain
from modules.icl.analysis.picture import picture
from modules.icl.selection.orca import Orca, write_results
from modules.icl.selection.scoring import read_table

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs" / "icl"
PICTURE = ROOT / "docs" / "icl_analyses.png"
SHORT, LONGS = 4, (8, 16)
"""s and l, in tokens: the longest block of 32 fits into a document of 34."""
SEED, NUM_STEPS = 21, 800
"""Of the model that measures."""
QUIET = (
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.callbacks=[]",
)
PAPER = {
    "Zipf coefficient": "lower for all six tasks",
    "long-tail mass": "more, by its lower Zipf coefficient",
    "IG": "lower, the more so the longer the context",
    "MAUVE with the task": "no difference for five tasks of six",
}


@dataclass(frozen=True)
class Selected:
    """A pool, what was selected from it, and the texts of the task.

    Attributes:
        pool: The documents.
        supportive: Indices of those that were selected.
        task: Token ids of each prompt of the task.
    """

    pool: DocumentPool
    supportive: Sequence[int]
    task: Sequence[Sequence[int]]

    @staticmethod
    def of(folder: Path, built: Configured) -> "Selected":
        """What a selection of a config left in its folder.

        Raises:
            ValueError: It was made of another pool.
        """
        pool, table = built.datamodule.pool, read_table(folder / "scores.parquet")
        if table["id"] != list(pool.ids):
            raise ValueError(f"{folder} is a selection from another pool than that of icl/tiny")
        tokenizer = AutoTokenizer.from_pretrained(built.datamodule.tokenizer)
        prompts = [one.fields["prompt"] for one in built.datamodule.target]
        supportive = [n for n, one in enumerate(table["iteration"]) if one is not None]
        return Selected(pool, supportive, [document_prefix(tokenizer, one) for one in prompts])


def analyses(bench: Bench, folder: Path | None = None) -> None:
    """The three analyses of what icl/tiny selects.

    Args:
        bench: Gets rows, and the table in full.
        folder: Of a selection by `cli.py select --config configs/icl/tiny.yaml`; one is made where
            it is not given.
    """
    few = ["--model.init_args.selection.k=20", f"--data.init_args.pool={few_documents()}"]
    built = configured([CONFIGS / "tiny.yaml"], *QUIET, *(few if bench.quick else []))
    with TemporaryDirectory() as place:
        selected = Selected.of(folder or select(bench, built, Path(place)), built)
    found = analysed(bench, selected, measuring_model(10 if bench.quick else NUM_STEPS))
    report(bench, found)
    if not bench.quick:
        picture({"icl/tiny": found}).quantize(64).save(PICTURE, optimize=True)


def few_documents() -> str:
    """A pool for a run that only shows that it works."""
    source = {"num": 400, "seed": 100, "shares": {"mapping": 0.05}}
    name = "datamodules.synthetic.patterns.source.PatternText"
    return json.dumps([{"class_path": name, "init_args": source}])


def select(bench: Bench, built: Configured, folder: Path) -> Path:
    """Select as a config says."""
    system, data = built.model, built.datamodule
    system.configure_model()
    network, tokenizer = system.language_model.eval(), system.tokenizer
    orca = Orca(network, tokenizer, data.pool, data.target, system.selection)
    found = [*orca.select(folder)][-1]
    bench.say(f"selected {len(found.union)} of {len(data.pool.ids)} documents")
    write_results(found, data.pool, folder)
    return folder


def measuring_model(num_steps: int) -> LanguageModel:
    """A model like theta_0 from another seed and other documents."""
    text = "datamodules.synthetic.patterns.source.PatternText"
    options = {"num": 60_000, "seed": SEED, "topics": "common", "shares": {"mapping": 0.3}}
    source = {"class_path": text, "init_args": options}
    built = configured(
        [CONFIGS / "theta_0.yaml"],
        *QUIET,
        f"--seed_everything={SEED}",
        f"--data.init_args.train={json.dumps([source])}",
        f"--trainer.max_steps={num_steps}",
        "--trainer.limit_val_batches=0",
    )
    built.trainer.fit(built.model, built.datamodule)
    model: LanguageModel = built.model.language_model.eval()
    return model


def analysed(bench: Bench, selected: Selected, model: LanguageModel) -> Analyses:
    """All three analyses, as `model` measures."""
    pool = selected.pool
    token_ND = [pool.tokens(n) for n in range(len(pool.ids))]
    groups = Groups.of(selected.supportive, len(pool.ids))
    frequency = token_frequency(groups, np.concatenate(token_ND), pool.lengths.tolist())
    bench.say("token frequencies are compared")
    sequences = [torch.from_numpy(one) for one in token_ND]
    context = long_context(groups, information_gain(model, sequences, SHORT, LONGS))
    bench.say("contexts are compared")
    task, documents = (
        mean_hidden_states(model, some)
        for some in (selected.task, [one.tolist() for one in token_ND])
    )
    relevance = domain_relevance(groups, task, documents)
    return Analyses(frequency, context, relevance)


def report(bench: Bench, found: Analyses) -> None:
    """A row for each quantity, and what no row has room for."""
    relevance = found.relevance
    bench.details["analyses"] = {
        "quantities": found.rows(),
        "mauve_supportive_by_seed": relevance.supportive.values,
        "mauve_of_halves_of_the_task": relevance.halves.values,
        "clusters": relevance.supportive.num_clusters,
    }
    for quantity, one, at_least in quantities(found):
        row, paper = one.row(quantity), PAPER[quantity.partition("(")[0]]
        what = f"{quantity}, supportive minus random {row['difference']:.4f} "
        what += f"({row['supportive']:.4f} - {row['random']:.4f})"
        group = one.of_one_group()
        if at_least is None:
            value = abs(group.value) / (group.high - group.value)
            bench.row(4, f"{what}, over where 95 % of single groups lie", value, 1.0, paper=paper)
            continue
        end = group.low if at_least else group.high
        what += f", {'lowest' if at_least else 'highest'} for 95 % of single groups"
        bench.row(4, what, end, 0.0, at_least=at_least, paper=paper)


def quantities(found: Analyses) -> list[tuple[str, Difference, bool | None]]:
    """Name and difference of each quantity, and whether the paper's is above 0; None where it is 0.

    A difference counts where no random group's would reach 0.
    """
    short = found.context.short
    return [
        ("Zipf coefficient", found.frequency.zipf, False),
        ("long-tail mass", found.frequency.long_tail, True),
        *((f"IG({long}, {short})", one, False) for long, one in found.context.gains.items()),
        ("MAUVE with the task", found.relevance.mauve, None),
    ]
