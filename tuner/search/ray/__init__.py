"""Ray as an adapter: the cluster, the benchmark actors, and Tune's Searcher, TrialScheduler and Trainable."""

import os

# Read when ray is imported: else a thread that asks after Ray has ended would start another one.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
