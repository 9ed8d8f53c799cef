"""Hierarchical Variational Autoencoders for Music (Roberts, Engel, Eck, 2017) on Keras 3."""

__version__ = "0.1.0"
