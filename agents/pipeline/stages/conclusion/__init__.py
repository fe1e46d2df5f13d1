"""Stages at the end of a job: exports, proofs and the report."""
