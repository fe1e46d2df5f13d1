"""Figures of the service for Prometheus: its jobs, its worker and its requests."""
