"""The progress of a job: the work of its stages, the pace of this machine, and the time that is left."""
