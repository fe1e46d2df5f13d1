"""Claims of plan parts, and the moment from which one counts for nothing.

A claim from this machine holds as long as its process lives, which can be seen. Nobody can see that of a process on
another machine, so its claim is a lease, renewed while the process works (Gray and Cheriton 1989, Leases: an efficient
fault-tolerant mechanism for distributed file cache consistency, SOSP).
"""

import time
from dataclasses import dataclass

from agents.search.evaluations.process_identity import ProcessIdentity

RENEWAL_S = 20.0  # between two renewals of a claim
LEASE_S = 6 * RENEWAL_S  # some of which may be late, where a machine is busy


@dataclass(frozen=True, slots=True)
class Claim:
    """One process's word to judge a part of a plan.

    Attributes:
        owner: the process.
        claimed_at_s: Unix time, by the clock of the store, at which it was made or last renewed.
    """

    owner: ProcessIdentity
    claimed_at_s: float

    @classmethod
    def of(cls, owner: ProcessIdentity) -> "Claim":
        """A claim of `owner`, made now."""
        return cls(owner, time.time())

    @property
    def is_abandoned(self) -> bool:
        """True where its owner is dead, or has been silent for longer than its lease."""
        if self.owner.is_local:
            return not self.owner.is_alive()
        return time.time() >= self.claimed_at_s + LEASE_S
