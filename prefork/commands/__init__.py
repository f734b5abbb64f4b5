"""The commands, as click has them."""
