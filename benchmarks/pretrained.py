"""A model that others trained, smaller without training: `python benchmarks/pretrained.py`.

OpenAI's Whisper tiny.en on the read speech of `make whisper`, in four tables:

a. Sizes in parameters: fewer tokens alone, and ranks and identity blocks alone, by the look.
b. LiteASR's rule (Kamahori et al. 2025, arXiv:2502.20583) on the encoder at three pairs of thresholds, against our
   search of the same layers at the same size and the same speech, and against leaving tokens out.
c. Bytes: every matrix in 8 or 4 bits, and what the job's search makes of the same bytes; in torch, and in int8 for ONNX
   Runtime.
d. The search's choice, in bytes by the job's levers, against the uniform, the greedy and the look's own plan, judged on
   the same utterances.

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
from subjects import Subject, Subjects, Task

from agents.pipeline.stages.steps.choose_stage import Chosen
from shrinkml.compression.sites import model_cost
from shrinkml.export import exported_transcripts
from shrinkml.export.exporter import Exporter
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.job import read_job
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.scoring import score, wer_difference
from shrinkml.speech.text_lines import read_texts
from shrinkml.training.dataset import Dataset

CONFIG = Path(__file__).parent.parent / "configs" / "whisper-tiny-en.yaml"
TEXTS = Path(__file__).parent.parent / "data" / "librispeech-30s" / "words.txt"
SIZES = (1.3, 1.5, 2.0)
# Energy kept in self-attention, and in the other layers. The second is the default of LiteASR's program; that the
# others are those of its larger and smaller models is our guess, by the sizes of the encoders that it publishes.
THRESHOLDS = ((0.999, 0.999), (0.99, 0.999), (0.99, 0.995))
SEARCHED = (3.0, 3.5)  # times fewer bytes than the original stores, of which every weight takes 16 bits
ROUNDED = (8, 4)  # bits of every matrix
SIMPLE = ("uniform", "greedy", "divergence")
OURS, LOOKS_OWN = "surrogate", "divergence"
RUNTIME = "ONNX Runtime"
ATTENTION = "self_attn"
LINEAR = ("*encoder.layers*",)  # the layers that LiteASR cuts
COLUMNS = ("what", "times smaller", "parameters, M", "MB", "WER on dev, %", "on test, %", "above the original there")
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
        for ratio in SIZES[:2]:
            task = Task(ratio)
            name = f"all tokens, {'+'.join(subjects.levers(task))}, {ratio:g}x"
            rows.append(self._cells(name, self._searched(task, LOOKS_OWN, 1)))
        return markdown(COLUMNS, rows)

    def liteasr(self) -> str:
        """Table b."""
        subjects, original = self._subjects, self._subjects.original
        rows = [self._cells("the original", original)]
        for attention, others in THRESHOLDS:
            theirs = Subject(original.tokens, self._liteasr_plan(attention, others))
            parameters = subjects.parameters(theirs)
            task = Task(subjects.parameters(original) / parameters, only=LINEAR)
            rows.append(self._cells(f"LiteASR, {attention:g} and {others:g}", theirs))
            ours = self._searched(task, OURS, self._few)
            rows.append(self._cells(f"the same layers, {'+'.join(subjects.levers(task))} searched", ours))
            rows += self._trimmed_to(parameters)
        return markdown(COLUMNS, rows)

    def bytes(self) -> str:
        """Table c."""
        subjects, original = self._subjects, self._subjects.original
        stored = sum(4 * weight.numel() for weight in subjects.materials.model.module.parameters())
        in_int8 = {f"the original in int8, {RUNTIME}": original}
        rows = [("the original in float32, torch", stored, subjects.heard(original, "test"))]
        rows += [self._in_torch(f"every matrix in {bits} bits", self._rounded(bits)) for bits in ROUNDED]
        for ratio in (subjects.bytes(original) / subjects.bytes(self._rounded(min(ROUNDED))), SEARCHED[-1]):
            name = f"{'+'.join(subjects.levers(Task(ratio, 'bytes')))} searched, {ratio:.2f}x"
            ours = self._searched(Task(ratio, "bytes"), OURS, self._evaluations)
            rows.append(self._in_torch(name, ours))
            in_int8[f"the same in int8, {RUNTIME}: {name}"] = ours
        for name, subject in in_int8.items():
            row = self._in_int8(subject)
            rows.append((name, row["bytes"], row["test"]))
        return markdown(BYTES, [self._byte_cells(name, n, stored, heard) for name, n, heard in rows])

    def search(self) -> str:
        """Table d, and the differences."""
        rows, pairs = [], []
        for ratio in SEARCHED:
            task = Task(ratio, "bytes")
            levers = "+".join(self._subjects.levers(task))
            ours = self._searched(task, OURS, self._evaluations)
            rows.append(self._cells(f"{OURS}, {levers}, {self._evaluations} plans judged", ours))
            for strategy in SIMPLE:
                other = self._searched(task, strategy, self._evaluations)
                rows.append(self._cells(f"{strategy}, {levers}, one plan", other))
                differences = [self._difference(other, ours, split) for split in ("dev", "test")]
                pairs.append((f"{ratio:g}x", strategy, *differences))
        return markdown(COLUMNS, rows) + "\n\n" + markdown(PAIRED, pairs)

    # Subjects

    def _searched(self, task: Task, strategy: str, evaluations: int) -> Subject:
        """The original under the plan of a search."""
        subjects = self._subjects

        def search() -> Row:
            problem = subjects.problem(task, evaluations=max(evaluations, self._few))
            chosen: Chosen = subjects.searched(strategy, problem, evaluations=evaluations)
            return {"plan": chosen.plan.to_json(), "finalists": [row.strategy for row in chosen.finalists]}

        name = f"search-{task.key}-{'+'.join(subjects.levers(task))}-{strategy}-{evaluations}.json"
        plan = CompressionPlan.from_json(kept(subjects.folder / name, search)["plan"])
        return Subject(subjects.original.tokens, plan)

    def _rounded(self, bits: int) -> Subject:
        """The original with every matrix in so many bits."""
        subjects = self._subjects
        layers = model_cost(subjects.materials.model.module).layers
        return Subject(subjects.original.tokens, CompressionPlan({layer.name: Choice(bits=bits) for layer in layers}))

    def _liteasr_plan(self, attention: float, others: float) -> CompressionPlan:
        subjects, model = self._subjects, self._subjects.materials.model
        cut = f"{model.encoder_prefix}layers."
        shapes = {
            layer.name: (layer.out_features, layer.in_features)
            for layer in model_cost(model.module).layers
            if layer.name.startswith(cut)
        }
        shares = {name: attention if ATTENTION in name else others for name in shapes}
        return liteasr_plan(shapes, subjects.factors, shares)

    def _in_torch(self, name: str, subject: Subject) -> tuple[str, int, list[str]]:
        return name, self._subjects.bytes(subject), self._subjects.heard(subject, "test")

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
            f"{subjects.bytes(subject) / 1e6:.1f}",
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
    parser.add_argument("--config", default=CONFIG, type=Path, help="a job, for its model, data and levers")
    parser.add_argument("--model", help="a Whisper, instead of the job's")
    parser.add_argument("--texts", default=TEXTS, type=Path, help="text whose words stay whole where tokens go")
    parser.add_argument("--tables", nargs="+", default=list("dabc"), choices=list("abcd"), help="which, in this order")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"], help="that torch computes in")
    parser.add_argument("--evaluations", type=int, default=16, help="plans judged per search")
    parser.add_argument("--few", type=int, default=8, help="the same in a search of the encoder alone")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/pretrained"), help="folder of what is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = read_job(arguments.config)
    spec = spec.model_copy(update={"model": arguments.model} if arguments.model else {})
    subjects = Subjects(spec, arguments.out, getattr(torch, arguments.dtype), read_texts(arguments.texts))
    tables = Tables(subjects, arguments.evaluations, arguments.few)
    makers = {"a": tables.sizes, "b": tables.liteasr, "c": tables.bytes, "d": tables.search}
    for name in arguments.tables:
        print(f"\nTable {name}\n\n{makers[name]()}", flush=True)


if __name__ == "__main__":
    main()
