"""The engine's own metrics during a window, read from its Prometheus page."""

from tuner.load.engine_metrics.scraper import EngineScraper
from tuner.load.engine_metrics.summary import summarised

__all__ = ["EngineScraper", "summarised"]
