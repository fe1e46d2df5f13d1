import dataclasses

import pytest

from agents.search.evaluations.memory_evaluations import MemoryEvaluations
from tests.agents.search.evaluations.contract import EvaluationStoreContract


class TestMemoryEvaluations(EvaluationStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryEvaluations()

    def expire(self, store, seconds):
        for asked, claim in store._claims.items():
            store._claims[asked] = dataclasses.replace(claim, claimed_at_s=claim.claimed_at_s - seconds)
