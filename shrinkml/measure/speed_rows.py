"""Records of measured speed, as the report holds them; importing them loads no torch.

Real-time factors are processing time over audio time. Ranges are (least, most) over the runs.
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SpeedSetting:
    """Both recognisers at one batch size on one number of threads: medians of the runs.

    Attributes:
        batch_size: utterances transcribed at once.
        threads: that torch may use.
        speedup: dense time / compressed time.
        speedup_range: of `speedup`.
        rtf_dense: real-time factor of the original.
        rtf_dense_range: of `rtf_dense`.
        rtf_compressed: real-time factor of the smaller model.
        rtf_compressed_range: of `rtf_compressed`.
        runs: timed passes of each model.
    """

    batch_size: int
    threads: int
    speedup: float
    speedup_range: Range
    rtf_dense: float
    rtf_dense_range: Range
    rtf_compressed: float
    rtf_compressed_range: Range
    runs: int = 5  # older reports did not tell


@dataclass(frozen=True, slots=True)
class Speedup:
    """A smaller model's speed beside its original's, in torch (`shrinkml.measure.speed`).

    Attributes:
        batch1: times as fast as the original with one utterance at a time, on `threads`.
        batch16: the same with sixteen.
        threads: of these headline figures.
        runs: timed passes of each model per setting, at least.
        n_utterances: of each pass.
        audio_s: seconds of audio in them.
        settings: every batch size and thread count.
    """

    batch1: float
    batch16: float
    threads: int
    runs: int
    n_utterances: int
    audio_s: float
    settings: tuple[SpeedSetting, ...]


@dataclass(frozen=True, slots=True)
class RuntimeRow:
    """One model in one runtime, in a process of its own (`shrinkml.measure.runtimes`), from waveform to text.

    Real-time factors are medians of the rounds. Each checkpoint took turns with the original, whose row is of the turns
    with the final one.

    Attributes:
        runtime: "torch" or "onnxruntime".
        model: "original", "compressed" (the final one), or the name of another checkpoint of the run.
        precision: of its products: "float32" or "int8".
        threads: that it may use.
        rtf_batch1: real-time factor with one utterance at a time.
        rtf_batch1_range: of `rtf_batch1`.
        rtf_batch16: real-time factor with sixteen.
        rtf_batch16_range: of `rtf_batch16`.
        speedup_batch1: times as fast as the original in the same runtime, precision and threads; median of the rounds.
        speedup_batch16: the same with sixteen.
        rounds: that were counted.
        import_s: seconds to import the runtime.
        load_s: seconds to open the model after that, its files in the disk's cache; transformers is imported then.
        peak_bytes: resident in the whole process, the runtime's libraries included.
        bytes: of the checkpoint's weights, or of the export's folder.
    """

    runtime: str
    model: str
    precision: str
    threads: int
    rtf_batch1: float
    rtf_batch1_range: Range
    rtf_batch16: float
    rtf_batch16_range: Range
    speedup_batch1: float
    speedup_batch16: float
    rounds: int
    import_s: float
    load_s: float
    peak_bytes: int
    bytes: int
