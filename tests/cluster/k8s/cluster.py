"""python cluster.py build|up|down|status|reap: a Kubernetes with real kubelets on this machine, for tests."""

from __future__ import annotations

import argparse
import os
import select
import subprocess
import sys
from pathlib import Path

from control_plane import Api, is_ready, start_control_plane
from images import engine_image, pause_image
from machine import alone, remember_sysctls
from node import start_node
from packages import install_packages
from processes import marked, of, wait_for
from programs import kubernetes_programs
from shutdown import shut_down
from state import ClusterError, Node, NotHere, State

DEFAULT_STATE = "/tmp/tuner-cluster"  # short: a socket's path has at most 107 characters


def up(state: State, *, nodes: int, accelerators: int, policies: bool) -> None:
    """Start a cluster on `state`, new or as it was left; one that is up and well is left alone.

    Raises:
        ClusterError: it did not come up; what was started of it is taken down again.
    """
    if _is_up(state):
        return
    programs = build()
    with alone():
        if _is_up(state):  # another caller was first
            return
        if of(state):
            raise ClusterError(f"the cluster in {state.folder} is up but not well: end it first (down)")
        state.folder.mkdir(parents=True, exist_ok=True)
        _take_slot(state)
        images = [pause_image(state.folder / "images", programs), engine_image(state.folder / "images")]
        try:
            _start(state, programs, images, count=nodes, accelerators=accelerators, policies=policies)
        except BaseException:
            shut_down(state, keep=True)  # with its logs
            raise


def _take_slot(state: State) -> None:
    taken = {State(folder).slot: folder for folder in marked().values()}
    if not state.place.exists():
        state.place.write_text(str(min(set(range(len(taken) + 1)) - set(taken))))
    elif state.slot in taken:
        raise ClusterError(f"{state.folder} has the ports and networks of {taken[state.slot]}, which is up")


def build() -> Path:
    """Have all that a cluster needs on this machine, minutes the first time; the programs' folder.

    Raises:
        NotHere: this machine cannot have it.
        ClusterError: installing or building failed.
    """
    if os.geteuid() != 0:
        raise NotHere("the cluster tests need root: they make bridges, mounts and cgroups")
    install_packages()
    return kubernetes_programs()


def _start(
    state: State, programs: Path, images: list[Path], *, count: int, accelerators: int, policies: bool
) -> None:
    remember_sysctls()
    start_control_plane(state, programs, policies=policies)
    for number in range(count):
        start_node(Node(state, number + 1), programs, images, accelerators=accelerators)
    wait_for(
        "namespace default has its service account",  # before that, a bare pod is refused
        lambda: Api(state).send("/api/v1/namespaces/default/serviceaccounts/default") is not None,
        seconds=30,
        state=state,
        by="controllers",
    )


def _is_up(state: State) -> bool:
    return bool(of(state)) and bool(state.nodes()) and all(map(is_ready, state.nodes()))


def reap(state: State, owner: int) -> None:
    """Wait until the process `owner` has ended, then take the cluster down, if it is still the owner's."""
    try:
        watched = os.pidfd_open(owner)
    except ProcessLookupError:
        watched = None
    if watched is not None:
        select.select([watched], [], [])
    if state.owner.exists() and state.owner.read_text() == str(owner):
        with alone():
            shut_down(state, keep=False)


def main() -> int:
    """The command line; 0, else 1, or 3 where something must be installed first, after one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("build", "up", "down", "status", "reap"))
    parser.add_argument(
        "--state",
        default=os.environ.get("TUNER_CLUSTER_STATE", DEFAULT_STATE),
        help="folder of the cluster's files; TUNER_CLUSTER_STATE, else %(default)s",
    )
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--accelerators", type=int, default=8, help="nvidia.com/gpu of each node")
    parser.add_argument("--no-policies", action="store_true", help="without MutatingAdmissionPolicy")
    parser.add_argument("--keep", action="store_true", help="down: the objects stay for the next up")
    parser.add_argument("--owner", type=int, help="a process whose end takes the cluster down")
    given = parser.parse_args()
    state = State.at(given.state)
    try:
        if given.verb == "build":
            if os.environ.get("TUNER_TEST_CLUSTER") != "1":  # the tests have a cluster already
                build()
        elif given.verb == "up":
            up(
                state,
                nodes=given.nodes,
                accelerators=given.accelerators,
                policies=not given.no_policies,
            )
            if given.owner:
                _leave_to_reaper(state, given.owner)
            print(f"KUBECONFIG={state.kubeconfig}")
        elif given.verb == "down":
            with alone():
                shut_down(state, keep=given.keep)
            print(f"nothing runs of the cluster in {state.folder}")
        elif given.verb == "reap":
            reap(state, given.owner)
        elif not _is_up(state):
            print(f"no cluster is up in {state.folder}", file=sys.stderr)
            return 1
        else:
            print(f"KUBECONFIG={state.kubeconfig}")
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 3 if isinstance(error, NotHere) else 1
    return 0


def _leave_to_reaper(state: State, owner: int) -> None:
    state.owner.write_text(str(owner))
    subprocess.Popen(
        [sys.executable, __file__, "reap", "--state", str(state.folder), "--owner", str(owner)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    sys.exit(main())
