import pytest

from agents.pipeline.stages.finetune_stage import finetune
from shrinkml.storage import checkpoint


def test_fine_tuning_goes_on_from_the_epoch_of_a_kill(materials, half, spec, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch):
        if epoch.number == 2:
            raise Killed

    def trained(target, on_epoch=lambda epoch: None):
        finetune(materials, half, target, epochs=3, lost=0.0, settings=spec.finetune, on_epoch=on_epoch)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    trained(tmp_path / "a" / "model")
    with pytest.raises(Killed):
        trained(tmp_path / "b" / "model", kill)
    epochs = []
    trained(tmp_path / "b" / "model", lambda epoch: epochs.append(epoch.number))
    assert epochs == [2, 3]
    assert checkpoint.inspect(tmp_path / "a" / "model").digest == checkpoint.inspect(tmp_path / "b" / "model").digest
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"model"}, "the training state is gone"
