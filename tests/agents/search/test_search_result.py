from agents.search.search_result import SearchResult, Trial, winner
from shrinkml.plan.compression_plan import CompressionPlan


def test_the_winner_has_the_lowest_wer_then_the_smallest_model_then_comes_first():
    def result(seed, wer, parameters):
        trial = Trial(CompressionPlan(), wer, parameters)
        return SearchResult("random", seed, trial, (trial,))

    results = [result(0, 0.2, 10), result(1, 0.1, 30), result(2, 0.1, 20), result(3, 0.1, 20)]
    assert winner(results).seed == 2
