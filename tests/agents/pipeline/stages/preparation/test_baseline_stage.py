import pytest

from agents.pipeline.stages.preparation.baseline_stage import measure_original


def test_the_baseline_knows_how_much_work_a_second_of_audio_is(materials):
    found = measure_original(materials)
    assert found.dev.n_utterances == 24
    assert found.proxy.n_utterances == 12
    # The encoder joins 4 frames of 10 ms and then 2 of those: 12.5 products per second, in each direction.
    assert found.calls_per_s["encoder.0.weight_ih_l0"] == pytest.approx(12.5, rel=0.1)
    assert found.dev.macs_per_s > 12.5 * 4 * 32 * 160
