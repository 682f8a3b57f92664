"""Ten random kill -9 in whole searches, always the same draw: nothing is lost, doubled, left or misjudged."""

from __future__ import annotations

import pytest
from chaos import Chaos, table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

SEED = 7
KILLS = 10


def test_ten_kills_of_random_parts_lose_double_leave_and_misjudge_nothing(tmp_path):
    chaos = Chaos(tmp_path, seed=SEED, kills=KILLS, per_run=KILLS, seconds=240)
    outcomes = chaos.go()
    said = table(outcomes)
    print(said)
    assert [line for outcome in outcomes for line in outcome.toll.what] == [], said
    assert chaos.made == KILLS
    assert len({kill.target for outcome in outcomes for kill in outcome.story.kills}) >= 4
