"""The choice of how much silence the final model of a job hears behind the words."""
