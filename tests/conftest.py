"""Quiet, deterministic TensorFlow for the tests that use it."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
