"""Search strategies, one file each, all with the signature of `agents.strategy.Strategy`."""
