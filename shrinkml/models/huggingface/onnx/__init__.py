"""Models of `transformers` as ONNX graphs."""
