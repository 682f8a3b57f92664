"""Deployment backends."""
