"""The levers that a job may pull, by what it saves. Loads no torch."""

from shrinkml.plan.prices import Resource

DROP = "drop"  # the lever of modules, not of matrices

LEVER_WORDS = {  # what may become of a matrix, or of a module
    "rank": "two thin factors",
    "identity": "one of them holds an identity block, which takes no weights",
    "bits": "few for each weight",
    "sparsity": "zeros, which are not stored: it saves no time",
    "units": "fewer of feed-forward blocks and recurrent layers: narrower matrices, without ranks or zeros",
    DROP: "residual branches are left out: attention, feed-forward blocks, convolutions of a Conformer",
}
GAINS: dict[Resource, tuple[str, ...]] = {  # names in `envs.levers.LEVERS`
    "parameters": ("rank", "identity", "sparsity", "units", DROP),
    "bytes": ("rank", "identity", "bits", "sparsity", "units", DROP),
    "macs": ("rank", "identity", "units", DROP),
    "latency": ("rank", "units", DROP),
}
UNASKED: dict[Resource, tuple[str, ...]] = {  # of those, what is pulled where a job names none
    **GAINS,
    "parameters": ("rank",),  # LSTMs run fastest on two whole factors
    "macs": ("rank",),
    "latency": ("rank",),  # what cut units lose and gain has to be seen on more models first
    "bytes": ("rank", "identity", "bits", "sparsity"),  # matrices whose units are cut would have no ranks
}
