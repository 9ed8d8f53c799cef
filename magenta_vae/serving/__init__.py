"""A trained model on a server: its exports, and a client that asks it."""
