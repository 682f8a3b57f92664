"""The load generator: `HttpLoad` implements the port `tuner.trial.ports.Load`."""

from tuner.load.session import HttpLoad

__all__ = ["HttpLoad"]
