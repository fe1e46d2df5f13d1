"""Models on disk: checkpoints, folders of `transformers`, cards and records."""
