"""The experiment file: models, expressions, the parameter space."""
