"""The experiment file: models, expressions, the parameter space."""

from tuner.spec.accuracy import Accuracy
from tuner.spec.deploy import Deploy, Pinning
from tuner.spec.distribution import Categorical, Distribution, FloatRange, IntRange
from tuner.spec.experiment import Experiment
from tuner.spec.load import load_experiment
from tuner.spec.metrics import METRICS
from tuner.spec.model import Model, Storage, Synthetic
from tuner.spec.parameter import Parameter
from tuner.spec.schema import json_schema
from tuner.spec.search import Budget, Goal, Search, Validation
from tuner.spec.section import ParamValue
from tuner.spec.space import Params, Space
from tuner.spec.unbuilt import refuse_unbuilt
from tuner.spec.workload import LoadPoint, Workload

__all__ = [
    "METRICS",
    "Accuracy",
    "Budget",
    "Categorical",
    "Deploy",
    "Distribution",
    "Experiment",
    "FloatRange",
    "Goal",
    "IntRange",
    "LoadPoint",
    "Model",
    "ParamValue",
    "Parameter",
    "Params",
    "Pinning",
    "Search",
    "Space",
    "Storage",
    "Synthetic",
    "Validation",
    "Workload",
    "json_schema",
    "load_experiment",
    "refuse_unbuilt",
]
