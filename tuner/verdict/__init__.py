"""Statistics alone: intervals, paired comparison, the verdict. Knows no Ray, no files, no clock."""

from tuner.verdict.decide import decide, without_validation
from tuner.verdict.gain import Gain, paired_gain
from tuner.verdict.measured import Candidate, Merge, Searched, Validated
from tuner.verdict.order import block_order
from tuner.verdict.outcome import Nearest, Outcome, Verdict

__all__ = [
    "Candidate",
    "Gain",
    "Merge",
    "Nearest",
    "Outcome",
    "Searched",
    "Validated",
    "Verdict",
    "block_order",
    "decide",
    "paired_gain",
    "without_validation",
]
