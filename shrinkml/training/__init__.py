"""Training, fine-tuning and distillation."""
