#!/usr/bin/env bash
# What runs on the head: one search, on the Ray that it is started in (RAY_ADDRESS). It stands beside the experiment in
# the ConfigMap. The same command goes on with an unfinished run of the same experiment.
cd /tmp || exit 1 # a relative path of the experiment counts from here, and the root filesystem is read-only
python -m tuner.search /experiment/experiment.yaml --runs /runs --plain
code=$?
# 3: nothing is feasible. That is an answer: what ran is not to be started again, for hours, on another Ray.
[ "$code" -eq 3 ] && exit 0
exit "$code"
