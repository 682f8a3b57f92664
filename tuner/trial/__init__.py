"""One trial's life and the ports."""
