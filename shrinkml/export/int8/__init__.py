"""Exports in int8: the quantizer, tables that it must not copy, layers that it would harm, and what it costs."""
