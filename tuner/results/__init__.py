"""The run directory and what is made from it."""
