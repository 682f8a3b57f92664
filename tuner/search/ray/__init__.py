"""Ray as an adapter: the cluster, the benchmark actors, and Tune's Searcher, TrialScheduler and Trainable."""
