"""The levers that a job may pull, by what it saves. Loads no torch."""

from shrinkml.plan.prices import Resource

GAINS: dict[Resource, tuple[str, ...]] = {  # names in `envs.levers.LEVERS`
    "parameters": ("rank", "identity", "sparsity", "units"),
    "bytes": ("rank", "identity", "bits", "sparsity", "units"),
    "macs": ("rank", "identity", "units"),
    "latency": ("rank",),
}
UNASKED: dict[Resource, tuple[str, ...]] = {  # of those, what is pulled where a job names none
    **GAINS,
    "parameters": ("rank",),  # LSTMs run fastest on two whole factors
    "macs": ("rank",),
    "bytes": ("rank", "identity", "bits", "sparsity"),  # matrices whose units are cut would have no ranks
}
