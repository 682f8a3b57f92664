"""Secrets of the engine's variables: told where they are not there; read by the kubelet, not by the tuner."""

from __future__ import annotations

import dataclasses

from tuner.deploy.kubernetes.preflight import findings

DEPLOY = {"env_secrets": {"HF_TOKEN": {"secret": "hf", "key": "token"}}}


def lines(level, cluster, wanted, trial):
    made = findings(cluster, wanted(deploy=DEPLOY), dataclasses.replace(trial, arguments=()))
    return [finding.line for finding in made if finding.level == level]


def test_a_secret_of_a_variable_has_to_be_there_with_its_entry(cluster, wanted, trial):
    (error,) = lines("error", cluster, wanted, trial)
    assert error.startswith("Secret hf: it is not in namespace trials")
    cluster.put("secrets", "hf", data={"other": "eA=="})
    (error,) = lines("error", cluster, wanted, trial)
    assert "it has other and no token" in error and "deploy.env_secrets.HF_TOKEN.key" in error
    cluster.put("secrets", "hf", data={"token": "eA=="})
    assert lines("error", cluster, wanted, trial) == []


def test_without_the_right_to_read_it_nothing_is_wrong(cluster, wanted, trial):
    cluster.forbidden.add(("get", "secrets"))
    assert lines("error", cluster, wanted, trial) == []
    assert any(line.startswith("Secret hf") for line in lines("warning", cluster, wanted, trial))
