"""Random parts of searches on the cluster killed with -9: they go on; nothing is left, lost or misjudged."""

from __future__ import annotations

import os
import random

import pytest
import search_site
from chaos import Outcome, table
from cluster_scene import EXPECTED, ClusterScene
from storm import Storm
from toll import toll_of
from webhook_parts import installed_webhook

pytestmark = pytest.mark.cluster

KILLS = int(os.environ.get("CHAOS_KILLS", "10"))  # `make chaos-cluster` asks for more
SEED = int(os.environ.get("CHAOS_SEED", "20"))
PER_RUN = 6


@pytest.fixture
def webhook_place(new_site, admin_api, apply, remove, until, new_namespace, engine_parts, tmp_path):
    """A site in a namespace where the webhook mounts, and the namespace of the webhook's pods."""
    with (
        new_site("webhook") as made,
        installed_webhook(
            admin_api,
            apply=apply,
            remove=remove,
            until=until,
            new_namespace=new_namespace,
            engine_parts=engine_parts,
            trials=made.namespace,
            folder=tmp_path,
        ) as webhook,
    ):
        yield made, webhook.namespace


@pytest.mark.timeout(600 + 90 * KILLS)
def test_kills_of_random_parts_lose_double_leave_and_misjudge_nothing(webhook_place):
    place, webhook = webhook_place
    outcomes: list[Outcome] = []
    while (made := sum(len(one.story.kills) for one in outcomes)) < KILLS:
        number = len(outcomes) + 1
        scene = ClusterScene(place, name=f"chaos-{number}", webhook=webhook)
        print(f"  run {number} (seed {SEED}:{number})", flush=True)
        rng = random.Random(f"{SEED}:{number}")
        storm = Storm(scene, rng=rng, kills=min(PER_RUN, KILLS - made), orphan_seconds=0.0)
        story = storm.blow()
        run = search_site.only_run(place, f"chaos-{number}")
        outcomes.append(Outcome(number, story, toll_of(run, story, EXPECTED)))
        outcomes[-1].toll.add("orphans", place.labelled())
    said = table(outcomes)
    print(said)
    assert [line for one in outcomes for line in one.toll.what] == [], said


def test_clean_takes_away_what_a_killed_driver_left(place, until):
    started = place.start(place.experiment())
    until(lambda: place.pods("autotuner.io/run"), seconds=60, what="a trial's pod")
    started.process.kill()
    started.process.wait()
    run = search_site.only_run(place)
    assert any(name.startswith("inferenceservice/") for name in place.labelled(run.name))
    cleaned = place.run("clean", run.name, module="tuner", seconds=60)
    assert cleaned.code == 0, cleaned.err
    until(lambda: not place.labelled(run.name), seconds=30, what="nothing carries the run's label")
