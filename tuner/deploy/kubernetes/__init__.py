"""Deployments as objects of a Kubernetes cluster: OME InferenceServices, or plain Deployments."""
