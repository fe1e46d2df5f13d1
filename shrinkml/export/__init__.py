"""Checkpoints for ONNX Runtime: a folder of graphs that needs neither torch nor ShrinkML where it runs."""
