"""Exports in int8: the quantizer, the tables that it must not copy, the layers that it would harm, and what it costs."""
