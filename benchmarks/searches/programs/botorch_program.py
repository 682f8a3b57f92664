"""BoTorch as a peer: constrained noisy expected improvement (qLogNEI) over every row that was not measured.

A Gaussian process for the objective's logarithm and one for each SLO (the logarithm of the metric over its
limit), each trained on what was measured; once something failed one more, on all trials, for whether a row
deploys. Their hyperparameters are fitted after each trial, from where the last fit ended. The acquisition is
optimised by evaluating it on all rows left, so it misses none.
"""

from __future__ import annotations

import math
import random
import sys
import warnings

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim import optimize_acqf_discrete
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import SumMarginalLogLikelihood
from protocol import Searcher, Task, Told, Untried, serve

STARTUP = 10  # trials before the model speaks, as many as Optuna's samplers take
_SAMPLES = 128
_LOWEST = 0.01  # of a metric over its limit: an error rate of 0 has no logarithm
_AT_ONCE = 512  # rows evaluated together
_CONSTANT = 1e-9
_HYPERPARAMETERS = ("covar_module", "mean_module", "likelihood")


class BoTorchSearch:
    """One search."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(task.seed)
        self._task = task
        self._untried = Untried(task)
        self._rng = random.Random(task.seed)
        self._x = _encoded(task)
        self._last: dict[str, dict[str, torch.Tensor]] = {}  # a process's hyperparameters

    def tell(self, told: Told) -> None:
        """See Searcher."""
        self._untried.told[told.row] = told

    def ask(self) -> int:
        """See Searcher."""
        told = list(self._untried.told.values())
        measured = [t for t in told if not t.failed]
        if len(told) < STARTUP or len(measured) < 3:
            return self._untried.any(self._rng)
        left = [i for i in range(len(self._task.rows)) if i not in self._untried.told]
        try:
            return left[self._best_of(left, told, measured)]
        except Exception as error:  # a fit that does not converge; the library's own errors are many
            print(f"drawn at random, for BoTorch said {error!r}", file=sys.stderr)
            return self._untried.any(self._rng)

    def _best_of(self, left: list[int], told: list[Told], measured: list[Told]) -> int:
        x = self._x[[t.row for t in measured]]
        sign = 1.0 if self._task.maximize else -1.0
        logs = [sign * math.log(max(t.value or 0.0, 1e-9)) for t in measured]
        models, names = [_process(x, logs)], ["objective"]
        constraints = []
        for index in range(self._task.limits):
            logs = [math.log(max(1.0 + t.violations[index], _LOWEST)) for t in measured]
            if max(logs) - min(logs) > _CONSTANT:
                constraints.append(_at_most(len(models), 0.0))
                models.append(_process(x, logs))
                names.append(f"limit {index}")
        if len(measured) < len(told):
            every = self._x[[t.row for t in told]]
            constraints.append(_at_most(len(models), 0.5))
            models.append(_process(every, [float(t.failed) for t in told]))
            names.append("deploys")
        model = self._fitted(models, names)
        acquisition = qLogNoisyExpectedImprovement(
            model,
            X_baseline=x,
            sampler=SobolQMCNormalSampler(torch.Size([_SAMPLES]), seed=self._task.seed),
            objective=GenericMCObjective(lambda z, X=None: z[..., 0]),
            constraints=constraints or None,
            prune_baseline=True,
        )
        choices = self._x[left]
        best, _ = optimize_acqf_discrete(acquisition, q=1, choices=choices, max_batch_size=_AT_ONCE)
        return int((choices - best[0]).abs().sum(-1).argmin())

    def _fitted(self, models: list[SingleTaskGP], names: list[str]) -> ModelListGP:
        for one, name in zip(models, names, strict=True):
            one.load_state_dict({**one.state_dict(), **self._last.get(name, {})})
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        for one, name in zip(models, names, strict=True):
            state = one.state_dict().items()
            self._last[name] = {k: v.clone() for k, v in state if k.startswith(_HYPERPARAMETERS)}
        return model


def _process(x: torch.Tensor, values: list[float]) -> SingleTaskGP:
    y = torch.tensor(values, dtype=torch.double).unsqueeze(-1)
    width = x.shape[-1]
    bounds = torch.stack([torch.zeros(width), torch.ones(width)]).double()
    return SingleTaskGP(
        x, y, input_transform=Normalize(width, bounds=bounds), outcome_transform=Standardize(1)
    )


def _at_most(index: int, limit: float):
    return lambda z: z[..., index] - limit


def _encoded(task: Task) -> torch.Tensor:
    """Ordered parameters by the place among their values, 0 to 1; the others a column a value."""
    columns = []
    for index, (count, ordered) in enumerate(zip(task.values, task.ordered, strict=True)):
        places = [row[index] for row in task.rows]
        if ordered and count > 1:
            columns.append([(p or 0) / (count - 1) for p in places])
        elif not ordered:
            columns += [[float(p == value) for p in places] for value in range(count if count > 2 else 1)]
        if None in places:
            columns.append([float(p is None) for p in places])
    return torch.tensor(columns, dtype=torch.double).T.contiguous()


def begin(task: Task) -> Searcher:
    """One search."""
    return BoTorchSearch(task)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    serve(begin)
