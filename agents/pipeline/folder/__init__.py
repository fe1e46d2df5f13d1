"""The folder of a job: what lies in it, and what is kept there for a resumed one."""
