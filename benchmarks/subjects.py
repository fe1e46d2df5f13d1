"""A pretrained Whisper in many sizes, and what it hears in each: the part of `benchmarks/pretrained.py` that measures.

A subject is the model with fewer tokens, or under a plan of lower ranks and fewer bits; nothing is trained. Its
transcripts are written once, by subject and utterances, so that a run that was stopped goes on, and a search that
proposes the same plans finds them judged. Layers are calibrated on what the original itself writes, as in a job.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import torch
from drafted import drafted_transcripts, states_of
from rows import Row, kept
from torch import Tensor

from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.folder.loss_memory import LossMemory
from agents.pipeline.materials import Materials
from agents.pipeline.price_lists import price_list
from agents.pipeline.stages.steps.calibrate_stage import searched_utterances
from agents.pipeline.stages.steps.choose_stage import Chosen, choose
from agents.pipeline.teaching import Teaching
from agents.search.decompose_layers import decomposed, silent_layers
from agents.search.look.look import LookSettings, look
from agents.search.make_problem import problem_of
from agents.search.model_evaluator import shrunk
from agents.search.search_plans import search_plans
from agents.search.workspace import StoredDecompositions, write_factors
from envs import problem_json
from envs.problem import CompressionProblem
from shrinkml.compression.chosen_layers import asked_to_leave
from shrinkml.compression.sites import model_cost
from shrinkml.events import ShouldStop
from shrinkml.job import JobSpec
from shrinkml.models.family import TokenRanking
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.models.trimmed import least_vocabulary, rank_vocabulary, trim_vocabulary, vocabulary_size
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.model_cost import ModelCost
from shrinkml.plan.prices import Resource
from shrinkml.speech.manifest import Utterance
from shrinkml.speech.scoring import word_errors
from shrinkml.training.dataset import Dataset

Split = Literal["proxy", "rest", "test"]  # of dev: the part that plans are judged on, and the others
PIECE = 64  # utterances whose transcripts are written down together
FACTORS = ("rank", "identity")  # levers where parameters are counted
EMBEDDING = ("*embed_tokens",)  # is the output as well, and bears no lower rank


@dataclass(frozen=True, slots=True)
class Subject:
    """One size of the model.

    Attributes:
        tokens: of its vocabulary.
        plan: of its layers, where no token is left out.
    """

    tokens: int
    plan: CompressionPlan = field(default_factory=CompressionPlan)

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.tokens}-{self.plan.digest}"


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a search.

    Attributes:
        ratio: the original over a plan, in what is counted.
        resource: that is counted: parameters, or bytes against those that the original stores.
        only: globs of the layers that may change; all but the embedding, if absent, and that too where bytes count.
    """

    ratio: float
    resource: Resource = "parameters"
    only: tuple[str, ...] = ()

    @property
    def excepted(self) -> tuple[str, ...]:
        """Globs of the layers that stay as they are."""
        return EMBEDDING if self.resource == "parameters" else ()

    @property
    def key(self) -> str:
        """A name for files."""
        words = hashlib.sha256(json.dumps([*self.only, "but", *self.excepted]).encode()).hexdigest()[:8]
        return f"{self.ratio:.6g}-{self.resource}-{words}"


class OwnWords(Materials):
    """The materials of a job, whose original transcribes with the references for a draft, and in `dtype`."""

    def __init__(self, spec: JobSpec, folder: Path, dtype: torch.dtype, should_stop: ShouldStop) -> None:
        cache = LastingCache(folder / "facts.sqlite")
        super().__init__(spec.model, spec.data, seed=spec.seed, should_stop=should_stop, cache=cache)
        self._folder = folder
        self.cast = dtype

    def transcribed(
        self, utterances: list[Utterance], speech: Dataset, *, on_heard: Callable[[int], None] = lambda n: None
    ) -> list[str]:
        """The original's own transcripts of `utterances`."""
        name = hashlib.sha256(json.dumps([str(one.audio) for one in utterances]).encode()).hexdigest()[:16]

        def write() -> dict[str, list[str]]:
            model = deepcopy(self.model).to(self.cast)
            return {"texts": drafted_transcripts(model, speech, [one.text for one in utterances])}

        return list(kept(self._folder / f"own-{name}.json", write)["texts"])

    @cached_property
    def teaching(self) -> Teaching:
        """The choice of transcripts, made once."""
        return Teaching(**kept(self._folder / "teaching.json", lambda: asdict(Materials.teaching.func(self))))


class Subjects:
    """All subjects of one model.

    Args:
        spec: the job, of model, data and search.
        out: folder of what is measured.
        dtype: that subjects compute in.
        texts: whose words stay whole where tokens go, beside those of train.
    """

    def __init__(self, spec: JobSpec, out: Path, dtype: torch.dtype, texts: Sequence[str] = ()) -> None:
        self.spec = spec
        self._more_texts = texts
        self.folder = out / str(dtype).removeprefix("torch.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.materials = OwnWords(spec, self.folder, dtype, lambda: False)
        self.dtype = dtype
        self._states: dict[int, Tensor] = {}
        self._last: tuple[str, HuggingFaceSeq2Seq] | None = None
        self._trimmed: tuple[int, HuggingFaceSeq2Seq] | None = None

    def levers(self, task: Task) -> tuple[str, ...]:
        """The levers that plans may pull: the job's, if it counts the same."""
        return self.spec.pulled_levers if task.resource == self.spec.goal.resource else FACTORS

    @cached_property
    def original(self) -> Subject:
        """The model as it is."""
        return Subject(vocabulary_size(self.materials.model))

    @cached_property
    def texts(self) -> list[str]:
        """The texts whose words stay whole where tokens go."""
        return [*self.materials.texts, *self._more_texts]

    @cached_property
    def ranking(self) -> TokenRanking:
        """The order in which tokens are kept for those texts."""
        return rank_vocabulary(self.materials.model, self.texts)

    @cached_property
    def least_tokens(self) -> int:
        """The fewest that the words of those texts need."""
        return least_vocabulary(self.materials.model, self.texts)

    def trimmed(self, tokens: int) -> HuggingFaceSeq2Seq:
        """The model with so many tokens; the last one is kept."""
        if tokens == self.original.tokens:
            return self.materials.model
        if self._trimmed is None or self._trimmed[0] != tokens:
            self._trimmed = tokens, trim_vocabulary(self.materials.model, self.ranking, tokens)
        return self._trimmed[1]

    def model(self, subject: Subject) -> HuggingFaceSeq2Seq:
        """`subject`, in single precision."""
        model = self.trimmed(subject.tokens)
        return model if subject.plan == CompressionPlan() else shrunk(model, subject.plan, self.factors)

    def parameters(self, subject: Subject) -> int:
        """Weights of `subject`."""
        return model_cost(self.trimmed(subject.tokens).module).parameters(subject.plan)

    def bytes(self, subject: Subject) -> int:
        """Bytes of the weights of `subject` in a checkpoint."""
        return self._cost(subject.tokens).cost(subject.plan).bytes

    def _cost(self, tokens: int) -> ModelCost:
        return model_cost(self.trimmed(tokens).module, bits=self.materials.stored_bits)

    def tokens_for(self, parameters: int) -> int:
        """The most tokens with which the model, otherwise as it is, has at most so many `parameters`."""
        whole, width = self.parameters(self.original), self.materials.model.network.config.d_model
        return self.original.tokens - max(0, -(-(whole - parameters) // width))

    # What is heard

    def heard(self, subject: Subject, split: Split) -> list[str]:
        """The transcripts of `split` by `subject`, written piece by piece."""
        folder = self.folder / "heard"
        folder.mkdir(exist_ok=True)
        speech, texts = self.speech(split), []
        for start in range(0, len(speech), PIECE):
            piece = range(start, min(start + PIECE, len(speech)))
            write = partial(self._written, subject, split, piece)
            texts += kept(folder / f"{subject.key}-{split}-{start}.json", write)["texts"]
        return texts

    def heard_on_dev(self, subject: Subject) -> list[str]:
        """The transcripts of all of dev, in its order."""
        parts = zip(self._parts["proxy"], self.heard(subject, "proxy"), strict=True)
        others = zip(self._parts["rest"], self.heard(subject, "rest"), strict=True)
        return [text for _, text in sorted([*parts, *others])]

    def speech(self, split: Split) -> Dataset:
        """The utterances of `split`."""
        return self.materials.test if split == "test" else self.materials.dev.subset(self._parts[split])

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        chosen = self.materials.proxy_indices
        return {"proxy": chosen, "rest": [i for i in range(len(self.materials.dev_utterances)) if i not in {*chosen}]}

    def _written(self, subject: Subject, split: Split, piece: Sequence[int]) -> Row:
        speech = self.speech(split).subset(piece)
        drafts = speech.texts
        if subject != self.original:
            of_original = self.heard(self.original, split)
            drafts = [of_original[i] for i in piece]
        model = self._cast(subject)
        whole = not any(name.startswith(model.encoder_prefix) for name, _ in subject.plan)
        encode = partial(self._whole_states, model) if whole else None
        return {"texts": drafted_transcripts(model, speech, drafts, encode=encode), "plan": subject.plan.to_json()}

    def _cast(self, subject: Subject) -> HuggingFaceSeq2Seq:
        """`subject` in the type that it computes in; the last one is kept."""
        if self._last is None or self._last[0] != subject.key:
            self._last = subject.key, deepcopy(self.model(subject)).to(self.dtype)
        return self._last[1]

    def _whole_states(self, model: HuggingFaceSeq2Seq, features: Sequence[Tensor]) -> Tensor:
        """The states of the original's encoder, found once."""
        missing = [one for one in features if id(one) not in self._states]
        if missing:
            self._states.update(zip(map(id, missing), states_of(model, missing), strict=True))
        return torch.stack([self._states[id(one)] for one in features])

    # What is searched

    @cached_property
    def factors(self) -> StoredDecompositions:
        """The factors of the original, calibrated on its own words."""
        folder = self.folder / "factors"
        if not folder.exists():
            partial_ = folder.with_name(folder.name + ".partial")
            partial_.mkdir(exist_ok=True)
            materials = self.materials
            found = decomposed(materials.model, materials.calibration, self.spec.factorizer, partial_)
            write_factors(partial_, found)
            partial_.replace(folder)
        return StoredDecompositions(folder)

    def problem(self, task: Task, *, evaluations: int) -> CompressionProblem:
        """The problem of finding a plan of the original, after the look.

        Args:
            task: of the search.
            evaluations: of it; the look costs a share of those.
        """
        path = self.folder / f"problem-{task.key}-{evaluations}-{'+'.join(self.levers(task))}.json"
        return problem_json.from_json(kept(path, lambda: problem_json.to_json(self._looked(task, evaluations))))

    def _looked(self, task: Task, evaluations: int) -> CompressionProblem:
        materials, factors = self.materials, self.factors
        model = materials.model
        left: Collection[str] = asked_to_leave(model.module, only=task.only, excepted=task.excepted)
        left = {*left, *silent_layers(model.module, factors, left=left)}
        posed = problem_of(
            model.module,
            factors,
            prices=price_list(materials, task.resource),
            ratio=task.ratio,
            baseline_wer=self.wer(self.original, "proxy"),
            levers=self.levers(task),
            left=left,
            bits=materials.stored_bits,
        )
        search = self.spec.search.model_copy(update={"evaluations": evaluations})
        heard = searched_utterances(self.spec.model_copy(update={"search": search}), materials)
        memory = partial(LossMemory.of, materials, start=materials.original, factorizer=self.spec.factorizer)
        cut = partial(shrunk, model, decompositions=factors, made={})
        return look(posed, model, cut, materials.calibration, left=left, settings=LookSettings(heard, memory))

    def wer(self, subject: Subject, split: Split) -> float:
        """The WER of `subject` on `split`."""
        return word_errors(self.speech(split).texts, self.heard(subject, split)).wer

    def searched(self, strategy: str, problem: CompressionProblem, *, evaluations: int, seed: int = 0) -> Chosen:
        """The plan of one search, chosen as in jobs: of the best few on the proxy set the best on dev."""
        tokens = self.original.tokens
        found = search_plans(
            strategy,
            problem,
            lambda plan: self.wer(Subject(tokens, plan), "proxy"),
            reward=self.spec.search.reward,
            evaluations=evaluations,
            seed=seed,
        )
        dev = self.materials.dev.texts
        return choose([found], problem, lambda plan: word_errors(dev, self.heard_on_dev(Subject(tokens, plan))).wer)
