"""What Prometheus reads of the webhook."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tuner.webhook.review import Outcome

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


class WebhookMetrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Counter(
            "tuner_webhook_reviews", "Reviews by what became of the pod.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "tuner_webhook_review_seconds",
            "From the whole request read to its answer.",
            registry=registry,
            buckets=_BUCKETS,
        )
        self._expiry = Gauge(
            "tuner_webhook_certificate_expiry_timestamp_seconds",
            "When the certificate served now ends.",
            registry=registry,
        )
        for outcome in (*Outcome, "bad_request", "fault"):
            self._reviews.labels(str(outcome))  # 0 is there from the start

    def reviewed(self, outcome: Outcome, seconds: float) -> None:
        """One pod was patched, left or refused."""
        self._reviews.labels(outcome.value).inc()
        self._seconds.observe(seconds)

    def bad_request(self) -> None:
        """Somebody sent what is no review."""
        self._reviews.labels("bad_request").inc()

    def fault(self) -> None:
        """A fault of our own: the pod is refused."""
        self._reviews.labels("fault").inc()

    def certificate(self, expires_at: float) -> None:
        """The certificate served from now on ends at `expires_at`, in seconds since 1970."""
        self._expiry.set(expires_at)
