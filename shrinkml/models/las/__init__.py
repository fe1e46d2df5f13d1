"""The listen-attend-spell family: LSTM encoder-decoders of our own."""
