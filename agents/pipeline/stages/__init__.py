"""The stages of a job, one a file; `agents.pipeline.stage_table` lists them in order."""
