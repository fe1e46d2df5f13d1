"""The Transformer family: attention encoder-decoders of our own, with an optional memory block in the encoder."""
