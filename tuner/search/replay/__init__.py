"""Searches on recorded sweeps, under a simulated clock: the strategy of a real run, without Ray.

surface = read_surface(path, experiment)
outcome = replay(experiment, surface, seed=0, sampler="random")
"""

from tuner.search.replay.outcome import Found, Outcome, summary
from tuner.search.replay.run import replay
from tuner.search.replay.surface import Row, Surface, read_surface
from tuner.search.replay.truth import Truth

__all__ = ["Found", "Outcome", "Row", "Surface", "Truth", "read_surface", "replay", "summary"]
