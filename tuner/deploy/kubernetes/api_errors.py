"""What an API server answers when it does not do what was asked, as one line."""

from __future__ import annotations

import json

from tuner.errors import WorldError

_ADVICE = {
    401: "would be right: credentials that the cluster knows",
    403: "would be right: a Role that allows it (cluster/rbac.yaml)",
}
_ANONYMOUS = 'User "system:anonymous"'  # what a request without credentials is asked as
_TERMINATING = "because it is being terminated"

AWAY_SECONDS = 180.0  # an API server that is started again, or upgraded, is waited for
UNKNOWN_SECONDS = 20.0  # one that was just started again does not know service accounts for a moment


class Unreachable(WorldError):
    """The API server did not answer."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"Kubernetes API server {host} does not answer: {why}")
        self.host = host
        self.why = why


class ApiRefused(WorldError):
    """The API server answered, and refused.

    Attributes:
        status: the HTTP status.
        reason: one of the API's words, such as AlreadyExists; "" where it sent none.
        said: its message.
    """

    def __init__(self, message: str, *, status: int, reason: str, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.said = said

    @property
    def passing(self) -> bool:
        """Whether the same may be asked again in a moment."""
        return self.status in (429, 500, 502, 503, 504) and not self.of_admission

    @property
    def of_admission(self) -> bool:
        """Whether something at admission refused, or could not be asked."""
        return "denied the request" in self.said or "denied request" in self.said or self.of_webhook

    @property
    def of_nobody(self) -> bool:
        """Whether the request carried no credentials, as where a kubeconfig's exec plugin fails."""
        return self.status == 401 or (self.status == 403 and _ANONYMOUS in self.said)

    @property
    def of_webhook(self) -> bool:
        """Whether a webhook did not answer."""
        return "failed calling webhook" in self.said

    @property
    def of_quota(self) -> bool:
        """Whether a ResourceQuota is used up."""
        return "exceeded quota" in self.said


def patience_seconds(error: Unreachable | ApiRefused) -> float:
    """How long the same is asked again before it is believed; 0 where that is of no use."""
    if isinstance(error, Unreachable) or error.passing:
        return AWAY_SECONDS
    return UNKNOWN_SECONDS if error.status == 401 else 0.0


def refusal(method: str, path: str, status: int, body: bytes) -> ApiRefused:
    """From an HTTP answer of 300 or more."""
    try:
        told = json.loads(body)
        said, reason = str(told.get("message") or ""), str(told.get("reason") or "")
    except (ValueError, AttributeError):
        said, reason = body.decode("utf-8", "replace"), ""
    said = " ".join(said.split()) or f"HTTP {status}"
    advised = 401 if status == 403 and _ANONYMOUS in said else status
    advice = f"; {_ADVICE[advised]}" if advised in _ADVICE and "denied" not in said else ""
    if _TERMINATING in said:
        advice = "; would be right: a namespace that stays"
    text = f"{method} {path}: HTTP {status}: {said}{advice}"
    return ApiRefused(text, status=status, reason=reason, said=said)
