"""`python -m tuner.search EXPERIMENT.yaml`."""

from __future__ import annotations

from tuner.search.command import main

if __name__ == "__main__":
    raise SystemExit(main())
