"""Torch's layers over matrices in any form, one file per torch type."""
