"""The kinds of objects that are read or written, by where the API has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind.

    Attributes:
        group: "" for the core.
        plural: as in paths and in rules of a Role.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "", *, part: str = "") -> str:
        """Of one object, of the collection without `name`, of all namespaces without `namespace`.

        Without a plural it is that of the group's version, whose document lists its kinds.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{word}" for word in (self.plural, name, part) if word)
        return f"{root}{place}{tail}"


INFERENCE_SERVICE = Resource("ome.io", "v1beta1", "inferenceservices", "InferenceService")
SERVING_RUNTIME = Resource("ome.io", "v1beta1", "servingruntimes", "ServingRuntime")
CLUSTER_SERVING_RUNTIME = Resource(
    "ome.io", "v1beta1", "clusterservingruntimes", "ClusterServingRuntime", namespaced=False
)
BASE_MODEL = Resource("ome.io", "v1beta1", "basemodels", "BaseModel")
CLUSTER_BASE_MODEL = Resource("ome.io", "v1beta1", "clusterbasemodels", "ClusterBaseModel", namespaced=False)
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
SERVICE = Resource("", "v1", "services", "Service")
POD = Resource("", "v1", "pods", "Pod")
EVENT = Resource("", "v1", "events", "Event")
SECRET = Resource("", "v1", "secrets", "Secret")
CLAIM = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUME = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
RESOURCE_QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
RAY_CLUSTER = Resource("ray.io", "v1", "rayclusters", "RayCluster")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
PRIORITY_CLASS = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)
POD_MONITOR = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
ACCESS_REVIEW = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

KNOWN = {
    (r.api_version, r.kind): r for r in list(globals().values()) if isinstance(r, Resource)
}  # for manifests


def of_manifest(manifest: dict[str, object]) -> Resource:
    """The kind of an object that is to be created.

    Raises:
        KeyError: it is none of those above.
    """
    return KNOWN[str(manifest["apiVersion"]), str(manifest["kind"])]
