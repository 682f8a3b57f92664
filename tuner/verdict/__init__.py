"""Statistics of the verdict."""
