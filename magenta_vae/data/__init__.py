"""Corpus -> unique windows -> TFRecords -> token batches."""
