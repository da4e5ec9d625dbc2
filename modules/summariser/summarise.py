"""Summaries of a system's network: checked before the first, drawn towards a stance, as records."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from modules.base.system import System
from modules.base.tokenized import Tokenized
from modules.causal_lm.tokens.padding import padded
from modules.decoding.evaluate import Measure, load_all
from modules.diffusion.schedule import Schedule
from modules.summariser.batch import ArticleBatch
from modules.summariser.evaluate import StanceReader
from modules.summariser.findings.trace import Following, Record, Trace, Tracer
from modules.summariser.findings.trace_picture import pictures
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.process import Alphabet, Process
from modules.summariser.processes.simplex import SelfConditioning
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import OpenGuide
from modules.summariser.steering.stance_token import OpenStanceToken, StanceToken

FOLLOWED = ("id", "stance", "asked", "summary")
"""What a trace says of a summary besides how it settled."""
UNKNOWN = -100
"""A stance that nobody knows."""
LONGEST = 100
"""Tokens of what is summarised without data, where the network says nothing."""
LENGTHS = ("article_length", "summary_length")
"""Options of the data that the network must have positions for."""


class SummarisingSystem(Tokenized, System):
    """A system whose network denoises summaries; a subclass sets the options, and trains it.

    Attributes:
        stances: Names of the stances, by index.
        process: What a summary becomes at a step, and how generation goes back.
        schedule: Signal left at each diffusion step.
        self_conditioning: What the network sees of its last prediction.
        block_size: Positions that are written together; None for the whole summary.
        generation: How summaries are drawn.
        control: Classifiers that steer them.
        stance_token: How the network is conditioned on stances; None where it is not.
        trace: Which summaries are followed while they are drawn; None where none are.
        measures: What is computed of them; records hold what its classifiers of stances read.
    """

    stances: list[str]
    process: Process
    schedule: Schedule
    self_conditioning: SelfConditioning
    block_size: int | None
    generation: Generation
    control: Control
    stance_token: StanceToken | None
    trace: Trace | None
    measures: Sequence[Measure]
    tracer: Tracer | None = None
    traced: Sequence[Record] = ()
    _steering: Steering | None = None
    _open_stance_token: OpenStanceToken | None = None

    @property
    def denoiser(self) -> Denoiser[Any]:
        """The network, once it is built."""
        assert isinstance(self.network, Denoiser)
        return self.network

    @property
    def marks(self) -> Marks:
        """Marks of the tokenizer."""
        return Marks.of(self.tokenizer)

    @property
    def diffusion(self) -> Diffusion:
        """What training and generation have in common."""
        how = self.process, self.schedule, self.self_conditioning
        return Diffusion(*how, self.marks, self.block_size)

    @property
    def alphabet(self) -> Alphabet:
        """The tokens of the network."""
        return self.diffusion.alphabet(self.denoiser.vocabulary)

    @property
    def quantities(self) -> list[str]:
        """Names of what is measured of drawn summaries, in order."""
        return [name for one in self.measures for name in one.names]

    @property
    def readers(self) -> list[StanceReader]:
        """The measures that read stances."""
        return [one for one in self.measures if isinstance(one, StanceReader)]

    # What is refused before anything is computed

    def on_fit_start(self) -> None:
        """Refuse what no summary could be drawn with, before the first step."""
        super().on_fit_start()
        self.check()

    def on_validation_start(self) -> None:
        """The same of a validation of its own; within training it is checked already."""
        if self.trainer.state.fn == "validate":
            self.check()

    def on_test_start(self) -> None:
        """The same before the first article."""
        self.check()
        self.tracer = self.new_tracer()

    on_predict_start = on_test_start

    def check(self) -> None:
        """Refuse options that no summary can be drawn or measured with, and load classifiers.

        Raises:
            ValueError: The network, a guide or the schedule has too few positions or steps, or
                generation no step that a trace names; the stances are not those of the data or of
                a classifier; or one cannot be loaded.
        """
        self.check_stances()
        lengths = self.lengths()
        self.denoiser.check_lengths(*lengths)
        sampler = self.summaries(lengths[1])
        if self.trace is not None:
            self.trace.kept(sampler.num_steps)
        self.stance_guide  # noqa: B018 - loaded here
        for guide in sampler.steering.guides if sampler.steering else []:
            guide.check_lengths(*lengths)
        load_all(self.measures)

    def check_stances(self) -> None:
        """Refuse other stances than those of the data, or of measures that read them."""
        known = getattr(getattr(self.trainer, "datamodule", None), "stances", None)
        names = getattr(known, "names", self.stances)
        others = [("data.init_args.stances", names)]
        others += [(f"the classes of the measure {one.name}", one.classes) for one in self.readers]
        for what, theirs in others:
            if list(theirs) != self.stances:
                ours = ", ".join(self.stances)
                raise ValueError(f"{what} are {', '.join(theirs)}, not the model's stances {ours}")

    def check_measures(self) -> None:
        """Refuse two quantities of one name, of which one would be lost."""
        twice = [name for name, num in Counter(self.quantities).items() if num > 1]
        if twice:
            raise ValueError(f"two measures give {twice[0]}: give them different names")

    def lengths(self) -> tuple[int, int]:
        """Most tokens of an article and positions of a summary, as the data have them."""
        data = getattr(self.trainer, "datamodule", None)
        article, summary = (getattr(data, name, None) for name in LENGTHS)
        return int(article or LONGEST), int(summary or self.denoiser.longest_summary or LONGEST)

    # Drawing

    def summaries(self, length: int) -> SummarySampler:
        """What draws summaries of a length with this system's options."""
        guidance = None if self.stance_token is None else self.stance_token.guidance
        how = self.diffusion, self.generation, length, self.steering, guidance
        return SummarySampler(self.denoiser, *how)

    @property
    def steering(self) -> Steering | None:
        """Control with its classifiers, loaded when first needed; None without guides."""
        if not self.control.is_on:
            return None
        if self._steering is None or self._steering.control is not self.control:
            guides = [one.open(self.tokenizer, self.stances) for one in self.control.guides]
            self._steering = Steering(self.control, [one.to(self.device) for one in guides])
        return self._steering

    @property
    def open_stance_token(self) -> OpenStanceToken | None:
        """The stance token, its classifier loaded when first needed; None without one."""
        if self.stance_token is None:
            return None
        if (
            self._open_stance_token is None
            or self._open_stance_token.token is not self.stance_token
        ):
            guide = self.stance_token.guide
            opened = None if guide is None else guide.open(self.tokenizer, self.stances)
            self._open_stance_token = OpenStanceToken(
                self.stance_token, opened and opened.to(self.device)
            )
        return self._open_stance_token

    @property
    def stance_guide(self) -> OpenGuide | None:
        """The first guide that reads stances; the one of the stance token where none steers."""
        guides = self.steering.guides if self.steering else []
        if self.open_stance_token is not None and self.open_stance_token.guide is not None:
            guides = [*guides, self.open_stance_token.guide]
        return next((one for one in guides if one.guide.target is None), None)

    def wanted(self, batch: ArticleBatch) -> Tensor:
        """Stance that each summary is steered to; where none is known, the guide's reading, [B]."""
        asked_B, guide = batch["asked_B"], self.stance_guide
        if guide is None or not bool((asked_B < 0).any()):
            return asked_B
        read_B = guide.read(batch["article_BC"], batch["article_mask_BC"]).argmax(-1)
        return torch.where(asked_B < 0, read_B, asked_B)

    def draw(self, batch: ArticleBatch, asked_B: Tensor) -> list[str]:
        """Summaries of a batch, steered to stances; the first ones are followed, if at all."""
        sampler = self.summaries(batch["summary_BS"].shape[1])
        found = self.tracer.follow(sampler, batch) if self.tracer else None
        article = batch["article_BC"], batch["article_mask_BC"]
        texts = self.drawn(sampler, *article, asked_B, batch["id_B"], found)
        if self.tracer and found:
            names = self.names(batch["stance_B"]), self.names(asked_B)
            columns = zip(batch["id_B"], *names, texts, strict=True)
            self.tracer.add(found, [dict(zip(FOLLOWED, one, strict=True)) for one in columns])
        return texts

    def drawn(
        self,
        sampler: SummarySampler,
        article_BC: Tensor,
        mask_BC: Tensor,
        asked_B: Tensor,
        names: Sequence[str],
        watch: Following | None = None,
    ) -> list[str]:
        """Summaries of articles; steps that could not be steered are counted in a warning."""
        token_BS = sampler.draw(article_BC, mask_BC, asked_B, names, watch)
        if sampler.cost.num_broken:
            warnings.warn(
                f"{sampler.cost.num_broken} steps of {len(names)} summaries were not steered: the "
                "gradient of a guide was not finite",
                stacklevel=2,
            )
        return [self.marks.text(self.tokenizer, row) for row in token_BS.tolist()]

    def new_tracer(self) -> Tracer | None:
        """What follows the first summaries of a command; None without `trace`."""
        if self.trace is None:
            return None
        return Tracer(self.trace, self.tokenizer, self.readers)

    def gather(self) -> None:
        """Gather what was found out on all ranks."""
        self.traced = self.tracer.gathered() if self.tracer else []

    def on_predict_epoch_end(self) -> None:
        """The same at the end of a prediction."""
        self.gather()

    def findings(self) -> dict[str, Any]:
        """Files of the run folder by their names: what was followed, and pictures of it."""
        if self.trace is None or not self.traced:
            return {}
        return {"traces.jsonl": self.traced} | pictures(self.traced, self.trace)

    def sample(self, prompts: list[str]) -> list[str]:
        """Articles with their summaries, each in the stance that the guide reads in the article.

        Args:
            prompts: The articles; they are cut as the data cut theirs.
        """
        marks, (longest, length) = self.marks, self.lengths()
        found = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        rows = [[marks.start, *row[: longest - 2], marks.end] for row in found]
        article_BC, mask_BC = padded(rows, left=False, device=self.device, pad=marks.pad)
        asked_B = torch.full((len(rows),), UNKNOWN, device=self.device)
        if (guide := self.stance_guide) is not None:
            asked_B = guide.read(article_BC, mask_BC.bool()).argmax(-1)
        sampler = self.summaries(length)
        texts = self.drawn(sampler, article_BC, mask_BC.bool(), asked_B, prompts)
        return [f"{prompt}\n\n{text}" for prompt, text in zip(prompts, texts, strict=True)]

    # Records

    def names(self, stance_B: Tensor) -> list[str]:
        """Names of stances; empty where unknown."""
        return ["" if one < 0 else self.stances[one] for one in stance_B.tolist()]

    def predict_step(self, batch: ArticleBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Summarise articles; one record each, with what guide and judges read before and after."""
        asked_B = self.wanted(batch)
        texts = self.draw(batch, asked_B)
        columns: dict[str, Sequence[Any]] = {
            "id": batch["id_B"],
            "article": batch["article_B"],
            "stance": self.names(batch["stance_B"]),
            "asked": self.names(asked_B),
            "summary": texts,
        }
        for one in self.readers:
            columns[f"{one.name}_article"] = one.named(batch["article_B"])
            columns[f"{one.name}_summary"] = one.named(texts)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
