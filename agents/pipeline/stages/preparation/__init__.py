"""Stages at the start of a job: what is checked, heard and priced before the first step."""
