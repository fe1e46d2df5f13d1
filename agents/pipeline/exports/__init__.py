"""The exports of a job: forms, beside its checkpoint, that the final model is written in."""
