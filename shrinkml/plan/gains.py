"""The levers that a job may pull, by what it saves. Loads no torch."""

from shrinkml.plan.prices import Resource

GAINS: dict[Resource, tuple[str, ...]] = {  # names in `envs.levers.LEVERS`
    "parameters": ("rank",),
    "bytes": ("rank", "identity", "bits"),
    "macs": ("rank",),
    "latency": ("rank",),
}
