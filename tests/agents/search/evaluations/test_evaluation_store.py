import pickle

from agents.search.evaluations.evaluation_store import PlanPart
from shrinkml.plan.compression_plan import CompressionPlan


def test_a_part_of_a_plan_is_the_same_in_every_process():
    asked = PlanPart("model", CompressionPlan.of_ranks({"encoder": 8, "decoder": 4}), 2)
    again = pickle.loads(pickle.dumps(asked))
    assert again == asked
    assert hash(again) == hash(PlanPart("model", CompressionPlan.of_ranks({"decoder": 4, "encoder": 8}), 2))
