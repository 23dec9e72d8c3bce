"""What a stream process counts for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

FOLLOWERS = Gauge(
    "release_manager_followers", "Who follows a deployment, or has a page open, in this process now."
)
LOOKS = Histogram(
    "release_manager_look_seconds",
    "How long looks at Postgres for all that is followed took.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
CUT = Counter("release_manager_followers_cut_total", "Followers that were sent away, by why.", ["code"])
VIEWS = Histogram(
    "release_manager_view_look_seconds",
    "How long looks for all pages that are open took, with making what changed on them.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
