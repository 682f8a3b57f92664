"""The admission webhook: mounts the model from a claim, for clusters whose API server cannot by policy."""
