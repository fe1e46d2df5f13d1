"""Units of recurrent layers, which many matrices multiply: where they go, the proof of it, and cutting them."""
