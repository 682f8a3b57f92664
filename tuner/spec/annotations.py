"""The storage contract: what an InferenceService says of where its model is mounted from.

OME hands the annotations of an InferenceService on to its pods, and whoever mounts the claim (a policy, a
webhook, a patched controller) reads them there.
"""

from tuner.spec.model import Storage

STORAGE_TYPE = "ome.io/storage-type"
PVC_NAME = "ome.io/pvc-name"
PVC_SUBPATH = "ome.io/pvc-subpath"
MOUNT_PATH = "ome.io/mount-path"
CONTRACT = (STORAGE_TYPE, PVC_NAME, PVC_SUBPATH, MOUNT_PATH)


def annotations(storage: Storage | None, *, pvc_subpath: str | None = None) -> dict[str, str]:
    """The annotations for `storage`; none for a hostPath or no storage.

    Args:
        pvc_subpath: in place of the storage's own, where it is a parameter.
    """
    if storage is None or storage.type != "pvc":
        return {}
    found = {
        STORAGE_TYPE: "pvc",
        PVC_NAME: storage.pvc_name,
        PVC_SUBPATH: pvc_subpath or storage.pvc_subpath,
        MOUNT_PATH: storage.mount_path,
    }
    return {key: value for key, value in found.items() if value}
