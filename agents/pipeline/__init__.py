"""A job from its description to its report, stage by stage."""
