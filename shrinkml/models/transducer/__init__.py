"""The transducer family: streaming recognisers of our own, a causal pass and one that looks ahead over one decoder."""
