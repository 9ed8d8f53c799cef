"""Saving, logging, evaluating and the training loop."""
