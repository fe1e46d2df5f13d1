"""The levers that a job may pull, by what it saves. Loads no torch."""

from shrinkml.plan.prices import Resource

LEVER_WORDS = {  # what may become of a matrix
    "rank": "two thin factors",
    "identity": "one of them holds an identity block, which takes no weights",
    "bits": "few for each weight",
    "sparsity": "zeros, which are not stored: it saves no time",
    "units": "fewer of feed-forward blocks and recurrent layers: narrower matrices, without ranks or zeros",
}
GAINS: dict[Resource, tuple[str, ...]] = {  # names in `envs.levers.LEVERS`
    "parameters": ("rank", "identity", "sparsity", "units"),
    "bytes": ("rank", "identity", "bits", "sparsity", "units"),
    "macs": ("rank", "identity", "units"),
    "latency": ("rank", "units"),
}
UNASKED: dict[Resource, tuple[str, ...]] = {  # of those, what is pulled where a job names none
    **GAINS,
    "parameters": ("rank",),  # LSTMs run fastest on two whole factors
    "macs": ("rank",),
    "latency": ("rank",),  # what cut units lose and gain has to be seen on more models first
    "bytes": ("rank", "identity", "bits", "sparsity"),  # matrices whose units are cut would have no ranks
}
