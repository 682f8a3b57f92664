"""Statistics alone: intervals, paired comparison, the verdict. Knows no Ray, no files, no clock."""

from tuner.verdict.decide import decide, without_validation
from tuner.verdict.drift import Drift, Level, drift_of
from tuner.verdict.flags import FlagWorth, Simplified, Source, flags_told
from tuner.verdict.front import Balance, Front, Point, front_of
from tuner.verdict.gain import Gain
from tuner.verdict.loads import OtherLoad
from tuner.verdict.measured import Candidate, Merge, Searched, Validated
from tuner.verdict.objectives import ObjectiveGain
from tuner.verdict.order import block_order
from tuner.verdict.outcome import Nearest, Outcome, Verdict
from tuner.verdict.simplification import power, simplified, smallest_margin, validation_scatter

__all__ = [
    "Balance",
    "Candidate",
    "Drift",
    "FlagWorth",
    "Front",
    "Gain",
    "Level",
    "Merge",
    "Nearest",
    "ObjectiveGain",
    "OtherLoad",
    "Outcome",
    "Point",
    "Searched",
    "Simplified",
    "Source",
    "Validated",
    "Verdict",
    "block_order",
    "decide",
    "drift_of",
    "flags_told",
    "front_of",
    "power",
    "simplified",
    "smallest_margin",
    "validation_scatter",
    "without_validation",
]
