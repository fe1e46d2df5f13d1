from server.jobs.tally import seconds_by_stage


def test_stages_of_all_ratios_and_jobs_are_added_up():
    finished = [("validate", 1.0), ("search-2x", 2.0), ("search-3.5x", 4.0), ("validate", 0.5)]
    assert seconds_by_stage(finished) == {"validate": 1.5, "search": 6.0}
