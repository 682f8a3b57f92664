"""Finds the serving configuration that is best for a model on a cluster, and proves it."""
