"""What workers and beat count for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

STEPS = Histogram(
    "release_manager_step_seconds",
    "How long tries of steps took, from the first start to the recorded end, by kind of target and outcome.",
    ["kind", "outcome"],
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
LEASES = Gauge("release_manager_leases_held", "Attempts that this worker follows now.")
LEASES_LOST = Counter(
    "release_manager_leases_lost_total",
    "Attempts that this worker had to let go of because its lease ran out.",
)
DELIVERIES = Counter(
    "release_manager_deliveries_total",
    "Tries of deliveries to webhooks, by kind and outcome: delivered, pending (it is tried again), dead (it was the last).",
    ["kind", "outcome"],
)
TICK_LAG = Histogram(
    "release_manager_tick_lag_seconds",
    "How much later than the clock's interval after the tick before it a tick was carried out.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
TICKS_SENT = Counter("release_manager_ticks_sent_total", "Ticks that this beat sent.")
