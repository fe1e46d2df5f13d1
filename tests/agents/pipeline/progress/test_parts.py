from agents.pipeline.progress.parts import in_parts


def test_the_first_count_of_each_part_is_told():
    told = []
    on_count = in_parts(4, lambda *count: told.append(count))
    for n in (1, 2, 3, 5, 5, 8, 10):
        on_count(n, 10)
    assert told == [(0, 1, 10), (1, 3, 10), (2, 5, 10), (3, 8, 10), (4, 10, 10)]
