"""The default strategy: a Gaussian process over everything that was measured, and what a trial costs."""
