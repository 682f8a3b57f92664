"""The list of broken set-ups: each with the line that names it, and what the line says would be right."""

from __future__ import annotations

from broken_ground import GPU, Broken, a_claim, saying
from broken_ways import (
    OtherRuntime,
    closed,
    closing_namespace,
    elsewhere,
    files,
    going,
    labelled,
    limit_range,
    lost,
    not_served,
    patched,
    pending,
    quota,
    tainted,
    webhook_down,
    without_policy,
)
from newer_ome import short_uri

ROWS = [
    Broken(
        "namespace absent",
        saying(deploy={"namespace": "no-such-namespace"}),
        "namespace no-such-namespace: it is not there",
        "kubectl create namespace",
        admin=True,
    ),
    Broken(
        "namespace going", closing_namespace, "it is being deleted", "another one, or to wait", admin=True
    ),
    Broken("OME absent", not_served, "OME: the API server knows no inferenceservices", "OME 0.1.5 or later"),
    Broken(
        "runtime absent", saying(deploy={"runtime": "none"}), "runtime none: there is no", "deploy.runtime of"
    ),
    Broken(
        "runtime disabled",
        patched("runtime", {"disabled": True}, undo={"disabled": False}),
        "is disabled",
        "spec.disabled: false",
    ),
    Broken(
        "runtime loses flags",
        OtherRuntime("script", {"command": ["bash", "-lc", "while true; do engine; done"], "args": []}),
        "flags would not reach the engine",
        "a runtime whose command is the engine",
    ),
    Broken(
        "runtime for other models",
        patched(
            "model", {"modelArchitecture": "OtherForCausalLM"}, undo={"modelArchitecture": "LlamaForCausalLM"}
        ),
        "its modelArchitecture is OtherForCausalLM, the runtime has LlamaForCausalLM",
        "spec.supportedModelFormats",
    ),
    Broken("model absent", saying(model={"name": "none"}), "model none: there is no", "`tuner render SPEC`"),
    Broken(
        "model disabled",
        patched("model", {"disabled": True}, undo={"disabled": False}),
        "is disabled",
        "spec.disabled: false",
    ),
    Broken("short storageUri on OME 1.2", short_uri, "names no namespace", "storageUri: pvc://"),
    Broken(
        "claim absent",
        saying(storage={"pvc_name": "none"}),
        "claim none: it is not in namespace",
        "of a claim there",
    ),
    Broken(
        "claim unbound", pending, "claim pending: it is Pending: no volume fits it", "kubectl describe pvc"
    ),
    Broken("claim lost", lost, "claim lost: it is Lost", "a bound claim"),
    Broken("claim going", going, "claim going: it is being deleted", "a claim that stays"),
    Broken(
        "claim in another namespace",
        saying(model=lambda ground: {"name": ground.place.model, "namespace": "elsewhere"}),
        "model.namespace says elsewhere",
        "deploy.namespace: elsewhere",
    ),
    Broken(
        "claim for one pod",
        a_claim("single", mode="ReadWriteOncePod"),
        "one pod at a time mounts it",
        "ReadOnlyMany or ReadWriteMany",
    ),
    Broken(
        "claim for one node",
        a_claim("once", mode="ReadWriteOnce"),
        "trials wait for each other on the 2 nodes",
        "ReadOnlyMany or ReadWriteMany",
        level="warning",
    ),
    Broken(
        "volume out of reach",
        elsewhere,
        "no node that trials may use reaches it",
        "deploy.pod.node_selector of",
    ),
    Broken(
        "volume that cannot be mounted",
        a_claim("broken", path="/no/such/folder"),
        "a trial's pod would not start",
        "a volume that the nodes can mount",
    ),
    Broken("policy deleted", without_policy, "nothing at admission mounts the claim", "kubectl apply"),
    Broken("webhook down", webhook_down, "an admission webhook does not answer", "its pods ready"),
    Broken(
        "Secret absent",
        saying(deploy={"token": {"secret": "none"}}),
        "Secret none",
        "cluster/rbac-secrets.yaml",
    ),
    Broken(
        "account absent",
        saying(deploy={"pod": {"service_account": "none"}}),
        "ServiceAccount none: it is not in namespace",
        "deploy.pod.service_account of one there",
    ),
    Broken(
        "priority class absent",
        saying(deploy={"pod": {"priority_class": "none"}}),
        "PriorityClass none: it is not in this cluster",
        "deploy.pod.priority_class of one there",
    ),
    Broken("pod security", labelled, "violates PodSecurity", "deploy.pod.security_context"),
    Broken(
        "limit range", limit_range, "maximum memory usage per Container", "within the namespace's LimitRange"
    ),
    Broken(
        "quota asks for limits",
        quota({"limits.memory": "8Gi"}),
        "must specify limits.memory",
        "deploy.pod.resources",
    ),
    Broken(
        "quota below one trial",
        quota({f"requests.{GPU}": "1"}, deploy={"accelerators": 2}),
        f"quota small: the widest trial takes 2 requests.{GPU}, and it allows 1",
        "a larger quota",
    ),
    Broken(
        "quota below parallel",
        quota({f"requests.{GPU}": "1"}, search={"parallel": 2}),
        "quota small: search.parallel is 2",
        "search.parallel: 1, or a larger quota",
    ),
    Broken(
        "trial wider than a node",
        saying(deploy={"accelerators": 9}, search={"parallel": 1}),
        f"room: the widest trial asks for 9 {GPU}, and no node that it may use has more than 8",
        "keep deploy.accelerators to 8",
    ),
    Broken(
        "too many at once",
        saying(deploy={"accelerators": 8}, search={"parallel": 3}),
        "room: search.parallel is 3, and nodes that are empty take 2 at once",
        "search.parallel: 2, or auto",
    ),
    Broken(
        "no such accelerators",
        saying(deploy={"gpu_resource": "example.com/none"}),
        "asks for 1 example.com/none, and no node that it may use has any",
        "a device plugin",
    ),
    Broken(
        "no such nodes",
        saying(deploy={"pod": {"node_selector": {"pool": "none"}}}),
        "nodes: none has the labels that trials' pods ask for (pool=none)",
        "deploy.pod.node_selector of nodes",
    ),
    Broken("taint", tainted, "not tolerate: team=other:NoSchedule", "deploy.pod.tolerations with team=other"),
    Broken(
        "image absent",
        OtherRuntime("image", {"image": "registry.invalid/none/engine:404"}),
        "a trial's pod would not start: ",
        "an image that the nodes can pull",
    ),
    Broken(
        "sub-path absent",
        saying(storage={"pvc_subpath": "meta/none"}),
        "sub-path meta/none is not in the claim; there is llama-3-2-1b-instruct",
        "storage.pvc_subpath of a folder there",
    ),
    Broken("sub-path empty", files("empty"), "holds no file", "cluster/model/fill.yaml"),
    Broken(
        "no config.json",
        files("bare", model_safetensors=b"x"),
        "and no config.json",
        "the model's own folder",
    ),
    Broken(
        "half a model",
        files(
            "half",
            config_json=b"{}",
            model_safetensors_index_json=b'{"weight_map": {"a": "model-1.safetensors"}}',
        ),
        "model-1.safetensors is named there and is not there",
        "cluster/model/fill.yaml",
    ),
    Broken(
        "closed to the engine's user",
        closed,
        "the engine's user may not read",
        "deploy.pod.security_context",
    ),
    Broken(
        "memory below the checkpoint",
        saying(deploy={"pod": {"resources": {"limits": {"memory": "16Mi"}}}}),
        "container memory: the container may have 16Mi, and the checkpoint is",
        "deploy.pod.resources.limits.memory above",
        level="warning",
    ),
]
