from agents.pipeline.measuring import measure
from shrinkml.storage import checkpoint


def test_what_is_measured_is_what_is_stored(materials, half):
    measured = measure(materials, half, materials.dev, {})
    assert measured.parameters == checkpoint.stored_parameters(half)
    assert measured.bytes == checkpoint.inspect(half).stored_bytes
