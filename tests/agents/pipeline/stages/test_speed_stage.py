import torch

from agents.pipeline.stages.speed_stage import time_speed


def test_speed_is_measured_for_one_utterance_and_for_batches(materials, half):
    found = time_speed(materials, half)
    assert found["runs"] >= 5
    assert min(found["batch1"], found["batch16"]) > 0.0


def test_torch_keeps_its_threads(materials, half):
    before = torch.get_num_threads()
    time_speed(materials, half)
    assert torch.get_num_threads() == before
