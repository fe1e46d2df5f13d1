"""A report.json as a real run writes it, in small."""

import random

from shrinkml.plan.layer_spec import LayerSpec

EVALUATION = {
    "wer": 0.0062,
    "wer_ci95": [0.0041, 0.0087],
    "cer": 0.0031,
    "substitutions": 12,
    "deletions": 3,
    "insertions": 2,
    "n_utterances": 600,
    "n_words": 2741,
    "parameters": 5_412_334,
    "bytes": 10_834_112,
    "macs_per_s": 6.1e7,
    "normaliser": "shrinkml-basic/2",
    "scorer": "jiwer/4.0.0",
    "seed": 0,
    "formatted_wer": None,
}
LAYERS = [
    ("encoder.0.weight_ih_l0", 1280, 160, 24),
    ("encoder.0.weight_hh_l0", 1280, 320, 32),
    ("encoder.0.weight_ih_l0_reverse", 1280, 160, 32),
    ("encoder.0.weight_hh_l0_reverse", 1280, 320, 40),
    ("encoder.1.weight_ih_l0", 1280, 1280, 56),
    ("encoder.1.weight_hh_l0", 1280, 320, 24),
    ("encoder.1.weight_ih_l0_reverse", 1280, 1280, 48),
    ("encoder.1.weight_hh_l0_reverse", 1280, 320, 16),
    ("cell.weight_ih", 1280, 768, 64),
    ("cell.weight_hh", 1280, 320, 48),
    ("key.weight", 320, 640, 48),
    ("query.weight", 320, 320, None),
    ("readout.weight", 320, 960, 56),
    ("output.weight", 112, 320, None),
]
STRATEGIES = {"ppo": 50, "uniform": 1, "greedy": 4, "random": 50, "evolution": 50}


def trials(rng, step, parameters, floor):
    """Judged plans whose best WER improves with the number of evaluations, as searches do."""
    rows = []
    for strategy, evaluations in STRATEGIES.items():
        spread = {"random": 1.2, "uniform": 0.9}.get(strategy, 0.5)
        for n in range(evaluations):
            wer = floor * (1 + spread * (0.05 + rng.random()) * 8 / (1 + 0.08 * n))
            size = int(parameters * (1 - 0.06 * rng.random()))
            row = {"step": step, "strategy": strategy, "seed": 0, "wer": round(wer, 5), "parameters": size}
            rows.append({**row, "within_budget": True, "heard": 1.0})
    return rows


def comparison(rows):
    """The best row of each strategy."""
    best = {}
    for row in rows:
        if row["strategy"] not in best or row["wer"] < best[row["strategy"]]["wer"]:
            best[row["strategy"]] = row
    return [
        {
            "strategy": strategy,
            "seed": 0,
            "evaluations": STRATEGIES[strategy],
            "compression_ratio": round(EVALUATION["parameters"] / row["parameters"], 3),
            "wer": row["wer"],
        }
        for strategy, row in best.items()
    ]


def menu_row(name, rows, columns, chosen):
    """Every layer's lowest rank was judged alone: the worse, the more of the layer it leaves out."""
    layer = LayerSpec(name, "linear", rows, columns)
    ranks = [8, *sorted({24, 48} | {chosen or 48}), None]
    shares = [layer.weights_at(rank) / layer.parameters for rank in ranks]
    alone = {8: round(0.0058 + max(0.0, 0.1 - shares[0]), 4), None: 0.0058}
    expected = {rank: round(layer.break_even_rank / (rank * 100), 4) for rank in ranks if rank} | {None: 0.0}
    entries = zip(ranks, shares, strict=True)
    return {
        "name": name,
        "entries": [
            {
                "rank": rank,
                "bits": None,
                "identity": False,
                "sparsity": 0.0,
                "units": None,
                "dropped": None,
                "weights_kept": share,
                "expected_loss": expected[rank],
                "wer_alone": alone.get(rank),
                "chosen": rank == chosen,
            }
            for rank, share in entries
        ],
        "cut": [2, 4],
    }


def speed_row(batch_size, threads, dense, compressed):
    ratio = dense / compressed
    return {
        "batch_size": batch_size,
        "threads": threads,
        "speedup": ratio,
        "speedup_range": [0.94 * ratio, 1.05 * ratio],
        "rtf_dense": dense,
        "rtf_dense_range": [0.97 * dense, 1.06 * dense],
        "rtf_compressed": compressed,
        "rtf_compressed_range": [0.97 * compressed, 1.04 * compressed],
        "runs": 5,
    }


def runtime_row(runtime, model, precision, rtf, speedup):
    return {
        "runtime": runtime,
        "model": model,
        "precision": precision,
        "threads": 1,
        "rtf_batch1": rtf,
        "rtf_batch1_range": [0.9 * rtf, 1.2 * rtf],
        "rtf_batch16": rtf / 3,
        "rtf_batch16_range": [0.3 * rtf, 0.4 * rtf],
        "speedup_batch1": speedup,
        "speedup_batch16": speedup,
        "rounds": 5,
        "import_s": 1.2 if runtime == "torch" else 0.1,
        "load_s": 0.08,
        "peak_bytes": 345_268_224 if runtime == "torch" else 120_922_112,
        "bytes": 10_834_112 if model == "original" else 2_152_960,
    }


def example():
    """The JSON of a report: two steps to five times smaller, goal met."""
    rng = random.Random(0)
    last_trials = trials(rng, 2, 1_080_000, 0.021)
    settings = [
        speed_row(1, 1, 0.0214, 0.0119),
        speed_row(16, 1, 0.0067, 0.0037),
        speed_row(1, 2, 0.0151, 0.0103),
        speed_row(16, 2, 0.0041, 0.0027),
    ]
    return {
        "job": {
            "name": "demo",
            "model": "reference/las",
            "goal": {"compression_ratio": 5.0, "max_wer_increase": 0.003},
            "search": {"strategy": "ppo", "evaluations": 50, "seeds": 1},
            "steps": "auto",
        },
        "goal": {"compression_ratio": 5.0, "max_wer_increase": 0.003, "resource": "parameters"},
        "goal_met": True,
        "missed_by": {"compression_ratio": 0.0, "wer": 0.0, "wer_at_goal_ratio": 0.0},
        "baseline": EVALUATION,
        "result": {
            **EVALUATION,
            "wer": 0.0073,
            "wer_ci95": [0.005, 0.0099],
            "cer": 0.0036,
            "parameters": 1_071_902,
            "bytes": 2_152_960,
        },
        "sets": {
            "dev": {"n_utterances": 600, "n_words": 2755, "baseline_wer": 0.0058},
            "proxy": {"n_utterances": 150, "n_words": 688, "baseline_wer": 0.0058},
        },
        "compression_ratio": 5_412_334 / 1_071_902,
        "size_ratio": 10_834_112 / 2_152_960,
        "speedup": {
            "batch1": settings[0]["speedup"],
            "batch16": settings[1]["speedup"],
            "threads": 1,
            "runs": 5,
            "n_utterances": 64,
            "audio_s": 118.4,
            "settings": settings,
        },
        "runtimes": [
            runtime_row("torch", "original", "float32", 0.0221, 1.0),
            runtime_row("torch", "compressed", "float32", 0.0126, 1.75),
            runtime_row("onnxruntime", "original", "int8", 0.0042, 1.0),
            runtime_row("onnxruntime", "compressed", "int8", 0.0030, 1.4),
        ],
        "steps": [
            {
                "step": 1,
                "target_ratio": 2.236,
                "reached_ratio": 2.25,
                "compression_ratio": 2.25,
                "parameters": 2_405_000,
                "strategy": "ppo",
                "finalists": [{"strategy": "ppo", "seed": 0, "proxy_wer": 0.008, "dev_wer": 0.0116}],
                "evaluations": 155,
                "wer_before": 0.0116,
                "wer_after": 0.0055,
                "kept": "fine-tuned",
                "accepted": True,
                "seconds": 121.0,
            },
            {
                "step": 2,
                "target_ratio": 5.0,
                "reached_ratio": 5.05,
                "compression_ratio": 5.05,
                "parameters": 1_071_902,
                "strategy": "ppo",
                "finalists": [
                    {"strategy": "ppo", "seed": 0, "proxy_wer": 0.0218, "dev_wer": 0.0327},
                    {"strategy": "greedy", "seed": 0, "proxy_wer": 0.021, "dev_wer": 0.0341},
                ],
                "evaluations": 155,
                "wer_before": 0.0327,
                "wer_after": 0.0071,
                "kept": "fine-tuned",
                "accepted": True,
                "seconds": 180.0,
            },
        ],
        "comparison": comparison(last_trials),
        "menus": [menu_row(*layer) for layer in LAYERS],
        "layers": [
            {
                "name": name,
                "shape": [rows, columns],
                "rank": rank,
                "break_even_rank": LayerSpec(name, "linear", rows, columns).break_even_rank,
                "bits": None,
                "sparsity": 0.0,
                "units": None,
            }
            for name, rows, columns, rank in LAYERS
        ],
        "trials": trials(rng, 1, 2_405_000, 0.008) + last_trials,
        "exports": [
            {
                "name": "final-onnx-int8",
                "int8": True,
                "kept_layers": ["encoder.0.weight_hh_l0", "output.weight"],
                "bytes": 660_000,
                "wer": 0.0121,
                "wer_ci95": [0.009, 0.016],
                "n_utterances": 100,
                "same_transcripts": 98,
                "largest_difference": 0.2,
                "n_long": 8,
                "longest_s": 23.4,
                "long_wer": 0.02,
                "long_wer_exported": 0.0312,
                "silence_words": 0,
                "silence_words_exported": 1,
                "component_wers": {"float": 0.0089, "encoder": 0.0101, "decoder": 0.009, "output": 0.0089},
            }
        ],
        "torch_int8": {"wer": 0.0105, "wer_ci95": [0.008, 0.014]},
        "plain_int8": {
            "bytes": 1_740_000,
            "wer": 0.0095,
            "wer_ci95": [0.007, 0.013],
            "meets_goal": False,
            "beats_result": False,
        },
        "vocabulary": None,
        "levers": [],
        "dropped": [],
        "window": None,
        "activations": None,
        "untranscribed": [],
        "checkpoints": [{"name": "compressed.tar", "sha256": "9f" * 32, "bytes": 2_170_880}],
        "samples": [
            {
                "reference": "turn on the kitchen lights",
                "baseline": "turn on the kitchen lights",
                "result": "turn on the kitchen lights",
            },
            {
                "reference": "set the bedroom heating to nineteen degrees",
                "baseline": "set the bedroom heating to ninety degrees",
                "result": "set the bedroom heater to nineteen degrees",
            },
        ],
        "seconds": 327.4,
        "versions": {"shrinkml": "0.1.0", "torch": "2.13.0+cpu", "python": "3.11.7"},
    }
