"""The materials of a job, its model and its speech, each part loaded when first asked for and once per process."""

import hashlib
import random
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from agents.pipeline.folder.lasting_cache import LastingCache
from agents.pipeline.teaching import N_COMPARED, Teaching, choose_teaching, lessons, original_transcripts
from agents.search.decompose_layers import layer_use, residual_branches, unit_pairs
from agents.search.interruptible import Interruptible
from envs.levers import UNITS
from shrinkml.compression.calibration import calls_per_s
from shrinkml.compression.chosen_layers import asked_to_leave
from shrinkml.compression.sites import NO_BRANCHES, NO_PAIRS, Branches, Pairs, current_plan, model_cost
from shrinkml.devices import find_device
from shrinkml.events import ShouldStop
from shrinkml.job import DataSpec, DeviceName, DtypeName, LayersSpec
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.gains import DROP
from shrinkml.speech.manifest import Utterance, read_manifest
from shrinkml.speech.normalisers import DEFAULT
from shrinkml.speech.proxy import choose_proxy
from shrinkml.speech.text import normalise
from shrinkml.storage import checkpoint
from shrinkml.training.dataset import Dataset, load_dataset
from shrinkml.training.distillation import SoftTargets, soft_targets

N_HELD_OUT = 16  # utterances that training is watched on


class Materials:
    """The original model and the speech of a job.

    Attributes:
        seed: of the choice of utterances.
        should_stop: True once the job shall end early.
        normaliser: of all word errors; name in NORMALISERS.
        cache: of what is known of models and speech.
        untranscribed: manifests without transcripts, of those that were read: errors on them are words that differ from
            the original's.
    """

    def __init__(
        self,
        model: str,
        data: DataSpec,
        *,
        seed: int,
        should_stop: ShouldStop,
        device: DeviceName = "auto",
        dtype: DtypeName = "auto",
        normaliser: str = DEFAULT,
        cache: LastingCache | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            model: name or folder of a checkpoint.
            data: the manifests.
            seed: of the choice of utterances.
            should_stop: asked while features are extracted, and by everything that works on them.
            device: that models compute on.
            dtype: of the weights in checkpoints; auto: as the original has them.
            normaliser: of all word errors; name in NORMALISERS.
            cache: of what is known of models and speech from other jobs; none, if absent.
        """
        self._device = device
        self._dtype = dtype
        self._model = model
        self.seed = seed
        self._data = data
        self.should_stop = should_stop
        self.normaliser = normaliser
        self.cache = cache or LastingCache(None)
        self.untranscribed: set[str] = set()
        self._targets: tuple[Path, SoftTargets] | None = None

    @property
    def manifests(self) -> dict[str, Path]:
        """Split -> manifest, of those that the job has."""
        paths = {"train": self._data.train, "dev": self._data.dev, "test": self._data.test}
        return {split: Path(path) for split, path in paths.items() if path is not None}

    @cached_property
    def manifest_digests(self) -> dict[str, str]:
        """Split -> sha256 of its manifest."""
        return {split: hashlib.sha256(path.read_bytes()).hexdigest() for split, path in self.manifests.items()}

    @cached_property
    def original(self) -> Path:
        """Checkpoint of the model to compress.

        Raises:
            CheckpointError: there is none.
        """
        return checkpoint.locate(self._model)

    @cached_property
    def model(self) -> AsrModel:
        """The original."""
        return self.load(self.original)

    def unit_pairs(self, model: AsrModel, levers: Collection[str], left: Collection[str] = ()) -> Pairs:
        """The layers of `model` whose units may be cut -> their followers, seen on an utterance of dev.

        Args:
            model: the original, or what became of it.
            levers: that plans may pull; where units are none of them, there are no pairs.
            left: names of layers that stay as they are.
        """
        return unit_pairs(*self._first_heard(model), left=left) if UNITS in levers else NO_PAIRS

    def branches(self, model: AsrModel, levers: Collection[str], left: Collection[str] = ()) -> Branches:
        """The branches of `model` that may be dropped, seen on an utterance of dev.

        Args:
            model: the original, or what became of it.
            levers: that plans may pull; where dropping is none of them, there are no branches.
            left: names of layers that stay as they are.
        """
        return residual_branches(*self._first_heard(model), left=left) if DROP in levers else NO_BRANCHES

    def _first_heard(self, model: AsrModel) -> tuple[AsrModel, Dataset]:
        """`model`, which can be stopped, and an utterance of dev."""
        heard = Interruptible(model, self.should_stop)
        first = read_manifest(Path(self._data.dev), needs_text=False)[:1]
        return heard, load_dataset(heard, first)

    def left_by(self, layers: LayersSpec | None) -> dict[str, str]:
        """The layers that stay as they are because of `layers`: name -> the reason.

        Raises:
            PlanError: a pattern matches no layer of the original, or none is left to factorize.
        """
        if layers is None:
            return {}
        return asked_to_leave(self.model.module, only=layers.only, excepted=layers.except_)

    @cached_property
    def device(self) -> torch.device:
        """The device that models compute on.

        Raises:
            ConfigError: it is not there.
        """
        return find_device(self._device)

    def save(self, model: AsrModel, folder: Path) -> None:
        """Write `model`, which came of the original, to the new checkpoint `folder`."""
        provenance = {"compressed_from": checkpoint.inspect(self.original).digest}
        checkpoint.save(model, folder, dtype=self._stored_dtype, provenance=provenance)

    @property
    def stored_bits(self) -> int:
        """Bits of each weight in the job's checkpoints that no plan rounds."""
        return 8 * checkpoint.DTYPES[self._stored_dtype].itemsize

    @property
    def original_bytes(self) -> int:
        """Bytes of the original's weights in the precision in which it stores them."""
        bits = 8 * checkpoint.DTYPES[checkpoint.inspect(self.original).dtype].itemsize
        return model_cost(self.model.module, bits=bits).cost(current_plan(self.model.module)).bytes

    @property
    def _stored_dtype(self) -> str:
        return checkpoint.inspect(self.original).dtype if self._dtype == "auto" else self._dtype

    def load(self, model: Path) -> AsrModel:
        """The recogniser in the checkpoint `model`, on the device that models compute on.

        Raises:
            CheckpointError: no checkpoint, or a broken one.
        """
        loaded = checkpoint.load(model)
        loaded.module.to(self.device)
        return loaded

    def opened(self, model: Path) -> AsrModel:
        """The same, to be left as it is: the original is not loaded twice."""
        return self.model if model == self.original else self.load(model)

    @cached_property
    def dev_utterances(self) -> list[Utterance]:
        """All of dev."""
        return self._read(self._data.dev)

    @cached_property
    def dev(self) -> Dataset:
        """All of dev, as features: the set of the gates."""
        return self._load(self.dev_utterances)

    @cached_property
    def proxy(self) -> Dataset:
        """The part of dev that plans are judged on."""
        return self.dev.subset(self.proxy_indices)

    @cached_property
    def proxy_indices(self) -> list[int]:
        """Those of its utterances in dev."""
        return choose_proxy(self.dev_utterances, self._data.proxy_utterances, self.seed)

    @cached_property
    def held_out(self) -> Dataset:
        """A few utterances of dev, with transcripts of the kind that `train` has: training is watched on them."""
        few = np.unique(np.linspace(0, len(self.dev) - 1, N_HELD_OUT).astype(int)).tolist()
        return self._taught([self.dev_utterances[i] for i in few], self.dev.subset(few))

    @cached_property
    def test_utterances(self) -> list[Utterance]:
        """All of test."""
        return self._read(self._data.test)

    @cached_property
    def test(self) -> Dataset:
        """All of test, as features: the set of the final figures; no choice may depend on it."""
        return self._load(self.test_utterances)

    @cached_property
    def teaching(self) -> Teaching:
        """The choice of transcripts that decoders are fed and models trained on."""
        n = len(self._calibrating)
        asked = "own" if (self._data.train or self._data.dev) in self.untranscribed else self._data.teach
        if asked == "references":
            return Teaching("references")
        few = [self._calibrating[i] for i in np.unique(np.linspace(0, n - 1, N_COMPARED).astype(int))]
        speech = self._load(few)
        own = self.transcribed(few, speech)
        return choose_teaching(Interruptible(self.model, self.should_stop), speech, own, asked=asked)

    @cached_property
    def train(self) -> Dataset:
        """The speech that fine-tuning learns from; empty where the job has no training set."""
        return self._taught(self.training, self._unread)

    def transcribe_training(self, on_heard: Callable[[int], None]) -> None:
        """Have the original transcribe the speech that fine-tuning learns from."""
        self.transcribed(self.training, self._unread, on_heard=on_heard)

    @cached_property
    def training(self) -> list[Utterance]:
        """The utterances that `train` is made of."""
        utterances = list(self._train_utterances)
        random.Random(self.seed).shuffle(utterances)
        return utterances[: self._data.train_utterances]

    @property
    def soft_targets(self) -> SoftTargets:
        """The original's scores of `train`."""
        return self.soft_targets_of(self.original)

    def soft_targets_of(self, teacher: Path, *, on_heard: Callable[[int], None] = lambda n: None) -> SoftTargets:
        """The scores of `train` that the checkpoint `teacher` gives; those of the last one are kept.

        Args:
            teacher: has the tokens of the student.
            on_heard: called with the number of utterances that it has heard by now.
        """
        if self._targets is None or self._targets[0] != teacher:
            model = self.opened(teacher)
            targets = soft_targets(model, self.train, on_heard=on_heard, should_stop=self.should_stop)
            self._targets = teacher, targets
        return self._targets[1]

    @cached_property
    def texts(self) -> list[str]:
        """The transcripts of train: what may be known of the words that the model must write, dev judges it."""
        return [utterance.text for utterance in self._train_utterances]

    @cached_property
    def calibration(self) -> Dataset:
        """The speech that layers are calibrated on: a part of train, or the proxy set where there is no train."""
        speech = self._load(self._calibrating) if self._train_utterances else self.proxy
        return self._taught(self._calibrating, speech)

    def transcribed(
        self, utterances: list[Utterance], speech: Dataset, *, on_heard: Callable[[int], None] = lambda n: None
    ) -> list[str]:
        """The original's own transcripts of `utterances`; see `agents.pipeline.teaching.original_transcripts`."""
        heard = Interruptible(self.model, self.should_stop)
        return original_transcripts(heard, self._original_digest, utterances, speech, self.cache, on_heard=on_heard)

    @cached_property
    def calls_per_s(self) -> dict[str, float]:
        """Layer -> products with its matrix per second of audio.

        Raises:
            CalibrationError: no layer works, or one on what is not finite.
        """
        uses = layer_use(Interruptible(self.model, self.should_stop), self.calibration)
        return calls_per_s(uses, self.calibration.audio_s)

    @cached_property
    def _original_digest(self) -> str:
        return checkpoint.inspect(self.original).digest

    @cached_property
    def _calibrating(self) -> list[Utterance]:
        """The utterances that `calibration` is made of."""
        source = self._train_utterances or self.dev_utterances
        return [source[i] for i in choose_proxy(source, self._data.proxy_utterances, self.seed)]

    def _taught(self, utterances: list[Utterance], speech: Dataset) -> Dataset:
        """`speech`, of `utterances`, with the transcripts to learn from."""
        if not utterances or self.teaching.source == "references":
            return speech
        return lessons(speech, self.transcribed(utterances, speech), self.teaching)

    @cached_property
    def _unread(self) -> Dataset:
        """The utterances of `train`, all of them, with their references."""
        return self._load(self.training)

    @cached_property
    def _train_utterances(self) -> list[Utterance]:
        return [] if self._data.train is None else self._read(self._data.train)

    def _read(self, manifest: str) -> list[Utterance]:
        """The utterances of a manifest; where it has no transcripts, the original's own stand for them."""
        utterances = read_manifest(Path(manifest), needs_text=False)
        if utterances[0].text:
            return utterances
        self.untranscribed.add(manifest)
        own = self.transcribed(utterances, self._load(utterances))
        pairs = zip(utterances, own, strict=True)
        return [replace(utterance, text=text) for utterance, text in pairs if normalise(text)]

    def _load(self, utterances: list[Utterance]) -> Dataset:
        return load_dataset(Interruptible(self.model, self.should_stop), utterances)
