"""A stand-in for the controller of OME 0.1.5: `python ome_stand_in.py --kubeconfig FILE`.

One pass over an InferenceService makes its children and its status. It goes over one again when it or a
child changes, and after an error, each time after twice as long, as OME does. Pods are looked at but not
watched.
"""

from __future__ import annotations

import argparse
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from ome_api import Api, CallRefused
from ome_children import engine_children, external_service, model_config
from ome_events import EventLog
from ome_merge import Json, Refused
from ome_models import model_of, runtime_of
from ome_status import is_ready, status
from ome_work_queue import Key, WorkQueue

_FINALIZER = "inferenceservice.finalizers"
_WATCHED = (
    "InferenceService", "Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
)  # fmt: skip


class Controller:
    """Keeps the children and the status of every InferenceService of a cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue = WorkQueue(time.monotonic)
        self._events = EventLog(api)

    def run(self) -> None:
        """Work until the program is ended."""
        started = [threading.Event() for _ in _WATCHED]
        for kind, flag in zip(_WATCHED, started, strict=True):
            threading.Thread(target=self._watch, args=(kind, flag), daemon=True).start()
        for flag in started:
            flag.wait()
        say('Starting workers {"controller": "inferenceservice"}')
        while True:
            self._attend(self._queue.get())

    def _watch(self, kind: str, started: threading.Event) -> None:
        """List, then watch; again from the start when the stream ends."""
        while True:
            try:
                found, version = self._api.list(kind)
                for each in found:
                    self._noticed(kind, each)
                started.set()
                for each in self._api.watch(kind, version):
                    self._noticed(kind, each)
            except Exception as error:  # the API server may be away for a while; a controller waits for it
                say(f"watch of {kind}: {error}")
                time.sleep(0.5)

    def _noticed(self, kind: str, changed: Json) -> None:
        meta = changed["metadata"]
        if kind == "InferenceService":
            self._queue.add((meta["namespace"], meta["name"]))
            return
        for owner in meta.get("ownerReferences") or []:
            if owner.get("controller") and owner["kind"] == "InferenceService":
                self._queue.add((meta["namespace"], owner["name"]))

    def _attend(self, key: Key) -> None:
        isvc = None
        try:
            isvc = self._api.get("InferenceService", key[1], key[0])
            if isvc is not None:
                self._reconcile(isvc)
            self._queue.succeeded(key)
        except Refused as refusal:
            if refusal.reason and isvc is not None:
                self._events.warn(isvc, refusal.reason, str(refusal))
            self._again(key, refusal)
        except CallRefused as refusal:
            self._again(key, refusal)
        except Exception:  # one bad InferenceService must not end the controller
            self._again(key, traceback.format_exc())

    def _again(self, key: Key, why: object) -> None:
        delay = self._queue.failed(key)
        say(f"{key[0]}/{key[1]}: {why} (again in {delay:.3g} s)")

    def _reconcile(self, isvc: Json) -> None:
        meta = isvc["metadata"]
        finalizers = meta.get("finalizers") or []
        if meta.get("deletionTimestamp"):
            if _FINALIZER in finalizers:
                meta["finalizers"] = [each for each in finalizers if each != _FINALIZER]
                self._api.replace("InferenceService", isvc)
            return
        if _FINALIZER not in finalizers:
            isvc = self._written_back(isvc)
        model = model_of(self._api, isvc)
        self._keep_model_config(isvc, model)
        runtime = runtime_of(self._api, isvc, model)
        deployment: Json = {}
        for child in engine_children(isvc, model, runtime):
            made = self._api.apply(child)
            deployment = made if child["kind"] == "Deployment" else deployment
        self._api.apply(external_service(isvc, deployment))
        self._tell(isvc, deployment)

    def _written_back(self, isvc: Json) -> Json:
        """OME stores the object once as it reads it: with the finalizer and with empty parts filled in."""
        meta, spec = isvc["metadata"], isvc["spec"]
        meta["finalizers"] = [*(meta.get("finalizers") or []), _FINALIZER]
        spec.setdefault("predictor", {})
        engine = spec.get("engine") or {}
        for part in (engine, engine.get("leader") or {}, engine.get("worker") or {}):
            if "runner" in part:
                part["runner"].setdefault("name", "")
                part["runner"].setdefault("resources", {})
        return self._api.replace("InferenceService", isvc)

    def _keep_model_config(self, isvc: Json, model: Json) -> None:
        """Two names with the same end share a ConfigMap: it stays its first owner's."""
        wanted = model_config(isvc, model)
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        if self._api.get("ConfigMap", name, namespace) is None:
            self._api.create("ConfigMap", wanted)
        else:
            self._api.merge("ConfigMap", name, namespace, {"data": wanted["data"]})

    def _tell(self, isvc: Json, deployment: Json) -> None:
        meta = isvc["metadata"]
        pods, _ = self._api.list("Pod", meta["namespace"], f"ome.io/inferenceservice={meta['name']}")
        new = status(isvc, deployment, pods, now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if new == isvc.get("status"):
            return
        was_ready = is_ready(isvc.get("status"))
        try:
            self._api.replace("InferenceService", {**isvc, "status": new}, part="status")
        except CallRefused as refusal:
            failed = f"Failed to update status for InferenceService {meta['name']!r}: {refusal}"
            self._events.warn(isvc, "UpdateFailed", failed.replace("'", '"'))
            self._events.warn(isvc, "InternalError", f"fails to update InferenceService status: {refusal}")
            raise
        if is_ready(new) and not was_ready:
            self._events.tell(isvc, "InferenceServiceReady", f"InferenceService [{meta['name']}] is Ready")
        elif was_ready and not is_ready(new):
            gone = f"InferenceService [{meta['name']}] is no longer Ready"
            self._events.warn(isvc, "InferenceServiceNotReady", gone)


def say(line: str) -> None:
    """A line of the log, with the time."""
    print(datetime.now(UTC).isoformat(timespec="milliseconds"), line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    Controller(Api(parser.parse_args().kubeconfig)).run()
