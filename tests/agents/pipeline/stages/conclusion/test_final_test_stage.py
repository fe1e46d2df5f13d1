from agents.pipeline.stages.conclusion.final_test_stage import N_SAMPLES, measure_on_test


def test_test_figures_come_with_transcripts_of_both_models(materials, half):
    found = measure_on_test(materials, half, {})
    assert found.baseline.parameters > found.result.parameters
    assert len(found.samples) == N_SAMPLES
    assert found.samples[0].reference == materials.test.texts[0]
