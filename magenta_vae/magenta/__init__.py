"""The models that Magenta released: their tokens, their encoder, their checkpoints."""
