"""The highest rate under the SLO on one deployment: probes at chosen rates, a fit, and an interval."""

from tuner.load.rate_search.answer import RateAnswer
from tuner.load.rate_search.probe import Probe, Share, SloLimit
from tuner.load.rate_search.search import RateSearch

__all__ = ["Probe", "RateAnswer", "RateSearch", "Share", "SloLimit"]
