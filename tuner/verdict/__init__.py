"""Statistics alone: intervals, paired comparison, the verdict. Knows no Ray, no files, no clock."""

from tuner.verdict.decide import decide, without_validation
from tuner.verdict.drift import Drift, Level, drift_of
from tuner.verdict.front import Balance, Front, Point, front_of
from tuner.verdict.gain import Gain, paired_gain
from tuner.verdict.measured import Candidate, Merge, Searched, Validated
from tuner.verdict.objectives import ObjectiveGain
from tuner.verdict.order import block_order
from tuner.verdict.outcome import Nearest, Outcome, Verdict

__all__ = [
    "Balance",
    "Candidate",
    "Drift",
    "Front",
    "Gain",
    "Level",
    "Merge",
    "Nearest",
    "ObjectiveGain",
    "Outcome",
    "Point",
    "Searched",
    "Validated",
    "Verdict",
    "block_order",
    "decide",
    "drift_of",
    "front_of",
    "paired_gain",
    "without_validation",
]
