"""A model that others trained, smaller without training: `python benchmarks/pretrained.py`.

OpenAI's Whisper tiny.en on the read speech of `make whisper`, in four tables:

a. Sizes: fewer tokens alone, the job's levers alone (whole vocabulary), and both, as jobs make them.
b. LiteASR's rule (Kamahori et al. 2025, arXiv:2502.20583) on the encoder at three pairs of thresholds, against our
   search of the same layers at the same size and the same speech, and against what a job would do there: leave tokens
   out.
c. Plain int8 and int4 of the dense model against smaller models in int8, by bytes.
d. The search's choice against the uniform, the greedy and the look's own plan, judged on the same utterances.

Test chooses nothing. Intervals are bootstrap 95 %; where two are compared, they are resampled together. Transcripts
are written as soon as they are there (`subjects`): run it again to go on.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from liteasr import liteasr_plan
from rows import Row, kept, markdown
from subjects import Subject, Subjects, rounded_bytes

from agents.pipeline.stages.choose_stage import Chosen
from envs.problem import CompressionProblem
from shrinkml.compression.sites import model_cost
from shrinkml.export import exported_transcripts
from shrinkml.export.exporter import Exporter
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.job import read_job
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.scoring import score, wer_difference
from shrinkml.training.dataset import Dataset

CONFIG = Path(__file__).parent.parent / "configs" / "whisper-tiny-en.yaml"
SIZES = (1.3, 1.5, 2.0)
# Energy kept in self-attention, and in the other layers. The second is the default of LiteASR's program; that the
# others are those of its larger and smaller models is our guess, by the sizes of the encoders that it publishes.
THRESHOLDS = ((0.999, 0.999), (0.99, 0.999), (0.99, 0.995))
SEARCHED = (2.0, 2.4)  # times smaller in all, of the model with the job's vocabulary
SIMPLE = ("uniform", "greedy", "divergence")
OURS = "surrogate"
ATTENTION = "self_attn"
LINEAR = ("*encoder.layers*",)  # the layers that LiteASR cuts
COLUMNS = ("what", "times smaller", "parameters, M", "WER on dev, %", "on test, %", "above the original there")
PAIRED = ("times smaller", "beside the search's plan", "WER above it on dev, points", "on test")
BYTES = ("what", "MB", "times fewer", "WER on test, %", "above the original")


class Tables:
    """The tables, as far as `subjects` are measured.

    Args:
        subjects: of the model.
        evaluations: plans judged in a search.
        few: the same in a search of the encoder alone.
    """

    def __init__(self, subjects: Subjects, evaluations: int, few: int) -> None:
        self._subjects = subjects
        self._evaluations = evaluations
        self._few = few

    # The tables

    def sizes(self) -> str:
        """Table a."""
        subjects, original = self._subjects, self._subjects.original
        whole = subjects.parameters(original)
        rows = [self._cells("the original", original)]
        for ratio in SIZES:
            rows += self._trimmed_to(int(whole / ratio))
        levers = subjects.levers
        rows.append(self._cells(f"{self._job_tokens:,} tokens (the job's), layers whole", Subject(self._job_tokens)))
        rows.append(self._cells(f"the same, and {levers}, {SEARCHED[0]:g}x", self._searched(SEARCHED[0])))
        alone = {f"all tokens, {levers}, {ratio:g}x": self._looks_own(original.tokens, ratio) for ratio in SIZES[:2]}
        return markdown(COLUMNS, [*rows, *(self._cells(name, subject) for name, subject in alone.items())])

    def liteasr(self) -> str:
        """Table b."""
        subjects, original = self._subjects, self._subjects.original
        rows = [self._cells("the original", original)]
        for attention, others in THRESHOLDS:
            theirs = Subject(original.tokens, self._liteasr_plan(attention, others))
            parameters = subjects.parameters(theirs)
            ratio = subjects.parameters(original) / parameters
            rows.append(self._cells(f"LiteASR, {attention:g} and {others:g}", theirs))
            problem = subjects.problem(original.tokens, ratio, evaluations=self._few, only=LINEAR)
            chosen = self._chosen(OURS, problem, original.tokens, ratio, self._few, "encoder")
            rows.append(self._cells(f"the same layers, {subjects.levers} searched", chosen))
            rows += self._trimmed_to(parameters)
        return markdown(COLUMNS, rows)

    def bytes(self) -> str:
        """Table c."""
        subjects, original = self._subjects, self._subjects.original
        trimmed, searched = Subject(self._job_tokens), self._searched(SEARCHED[0])
        stored = sum(4 * weight.numel() for weight in subjects.materials.model.module.parameters())
        rows = [("the original in float32, torch", stored, subjects.heard(original, "test"))]
        for name, subject in (("the original", original), (f"{trimmed.tokens:,} tokens", trimmed)):
            four = Subject(subject.tokens, subject.plan, bits=4)
            n_bytes = rounded_bytes(subjects.model(subject), 4)
            rows.append((f"{name} in int4, weights alone", n_bytes, subjects.heard(four, "test")))
        for name, subject in (
            ("the original", original),
            (f"{trimmed.tokens:,} tokens", trimmed),
            (f"the same and {subjects.levers}, {SEARCHED[0]:g}x,", searched),
        ):
            row = self._in_int8(subject)
            rows.append((f"{name} in int8, ONNX Runtime", row["bytes"], row["test"]))
        return markdown(BYTES, [self._byte_cells(name, n, stored, heard) for name, n, heard in rows])

    def search(self) -> str:
        """Table d, and the differences."""
        rows, pairs = [], []
        for ratio in SEARCHED:
            ours = self._searched(ratio)
            levers = self._subjects.levers
            rows.append(self._cells(f"{OURS}, {levers}, {self._evaluations} plans judged", ours))
            for strategy in SIMPLE:
                other = self._searched(ratio, strategy)
                rows.append(self._cells(f"{strategy}, {levers}, one plan", other))
                differences = [self._difference(other, ours, split) for split in ("dev", "test")]
                pairs.append((f"{ratio:g}x", strategy, *differences))
        return markdown(COLUMNS, rows) + "\n\n" + markdown(PAIRED, pairs)

    # Subjects

    @property
    def _job_tokens(self) -> int:
        tokens = self._subjects.spec.vocabulary
        assert isinstance(tokens, int), "the job names a number of tokens"
        return tokens

    def _searched(self, ratio: float, strategy: str = OURS) -> Subject:
        """The model with the job's vocabulary, so many times smaller."""
        tokens, evaluations = self._job_tokens, self._evaluations
        problem = self._subjects.problem(tokens, ratio, evaluations=evaluations)
        return self._chosen(strategy, problem, tokens, ratio, evaluations, "all")

    def _looks_own(self, tokens: int, ratio: float) -> Subject:
        """The plan of the look alone: no search."""
        problem = self._subjects.problem(tokens, ratio, evaluations=self._evaluations)
        return self._chosen("divergence", problem, tokens, ratio, 1, "all")

    def _chosen(
        self, strategy: str, problem: CompressionProblem, tokens: int, ratio: float, evaluations: int, layers: str
    ) -> Subject:
        subjects = self._subjects
        name = f"search-{tokens}-{layers}-{subjects.levers}-{ratio:.6g}-{strategy}-{evaluations}.json"
        path = subjects.folder / name

        def search() -> Row:
            chosen: Chosen = subjects.searched(strategy, problem, tokens, evaluations=evaluations)
            return {"plan": chosen.plan.to_json(), "finalists": [row.strategy for row in chosen.finalists]}

        return Subject(tokens, CompressionPlan.from_json(kept(path, search)["plan"]))

    def _liteasr_plan(self, attention: float, others: float) -> CompressionPlan:
        subjects, model = self._subjects, self._subjects.materials.model
        cut = f"{model.encoder_prefix}layers."
        shapes = {
            layer.name: (layer.out_features, layer.in_features)
            for layer in model_cost(model.module).layers
            if layer.name.startswith(cut)
        }
        shares = {name: attention if ATTENTION in name else others for name in shapes}
        return liteasr_plan(shapes, subjects.factors(subjects.original.tokens), shares)

    def _in_int8(self, subject: Subject) -> Row:
        subjects = self._subjects

        def export() -> Row:
            materials = subjects.materials
            with tempfile.TemporaryDirectory() as name:
                model, exported = Path(name) / "model", Path(name) / "onnx"
                materials.save(subjects.model(subject), model)
                left = Exporter(model).write(exported, int8=True, speech=materials.dev_utterances)
                n_bytes = sum(path.stat().st_size for path in exported.iterdir())
                heard = exported_transcripts.transcripts(OnnxRecogniser(exported), materials.test_utterances)
            return {"bytes": n_bytes, "test": heard, "left in float": sorted(left)}

        return kept(subjects.folder / f"int8-{subject.key}.json", export)

    # Cells

    def _trimmed_to(self, parameters: int) -> list[tuple[str, ...]]:
        """The row of the most tokens that so many parameters leave, if the words of the texts need no more."""
        tokens = self._subjects.tokens_for(parameters)
        if tokens < self._subjects.least_tokens:
            return []
        return [self._cells(f"{tokens:,} tokens, layers whole", Subject(tokens))]

    def _cells(self, name: str, subject: Subject) -> tuple[str, ...]:
        subjects = self._subjects
        print(f"... {name}", flush=True)
        parameters = subjects.parameters(subject)
        return (
            name,
            f"{subjects.parameters(subjects.original) / parameters:.2f}",
            f"{parameters / 1e6:.2f}",
            self._wer("dev", subjects.heard_on_dev(subject)) if subject.plan != CompressionPlan() else "",
            self._wer("test", subjects.heard(subject, "test")),
            self._difference(subject, subjects.original, "test"),
        )

    def _byte_cells(self, name: str, n_bytes: int, stored: int, heard: Sequence[str]) -> tuple[str, ...]:
        original = self._subjects.heard(self._subjects.original, "test")
        apart = self._apart("test", heard, original)
        return name, f"{n_bytes / 1e6:.1f}", f"{stored / n_bytes:.2f}", self._wer("test", heard), apart

    def _difference(self, subject: Subject, other: Subject, split: str) -> str:
        subjects = self._subjects
        hear: Callable[[Subject], list[str]] = (
            subjects.heard_on_dev if split == "dev" else lambda one: subjects.heard(one, "test")
        )
        return self._apart(split, hear(subject), hear(other))

    def _wer(self, split: str, heard: Sequence[str]) -> str:
        speech = self._speech(split)
        found = score(speech.texts, heard, groups=speech.speakers)
        low, high = found.wer_ci95
        return f"{100 * found.wer:.2f} ({100 * low:.2f} to {100 * high:.2f})"

    def _apart(self, split: str, heard: Sequence[str], other: Sequence[str]) -> str:
        speech = self._speech(split)
        apart, (low, high) = wer_difference(speech.texts, heard, other, groups=speech.speakers)
        return f"{100 * apart:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"

    def _speech(self, split: str) -> Dataset:
        return self._subjects.materials.test if split == "test" else self._subjects.materials.dev


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its model, data and vocabulary")
    parser.add_argument("--model", help="a Whisper, instead of the job's")
    parser.add_argument("--tables", nargs="+", default=list("dabc"), choices=list("abcd"), help="which, in this order")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"], help="that torch computes in")
    parser.add_argument("--evaluations", type=int, default=16, help="plans judged per search")
    parser.add_argument("--few", type=int, default=8, help="the same in a search of the encoder alone")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/pretrained"), help="folder of what is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = read_job(arguments.config)
    spec = spec.model_copy(update={"model": arguments.model} if arguments.model else {})
    subjects = Subjects(spec, arguments.out, getattr(torch, arguments.dtype))
    tables = Tables(subjects, arguments.evaluations, arguments.few)
    makers = {"a": tables.sizes, "b": tables.liteasr, "c": tables.bytes, "d": tables.search}
    for name in arguments.tables:
        print(f"\nTable {name}\n\n{makers[name]()}", flush=True)


if __name__ == "__main__":
    main()
