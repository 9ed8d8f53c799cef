"""Tokens <-> z: schedules, latent space, losses, LSTMs, encoders, decoders, the VAE."""
