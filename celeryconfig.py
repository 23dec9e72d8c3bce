"""Celery's settings, for every process that sends or takes messages (https://docs.celeryq.dev)."""

from orchestrator.config import Settings
from orchestrator.tasks import DEFAULT_QUEUE, TICK_SECONDS, QueueName, TaskName

_settings = Settings.from_env()

broker_url = _settings.redis_url
result_backend = _settings.redis_url
result_expires = 86_400

accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
enable_utc = True
timezone = "UTC"

# Postgres is the queue; a message is a nudge. So: acknowledge early, store no result, never retry a publish
# for long, and never use eta or countdown (Redis would deliver those again and again).
task_acks_late = False
task_ignore_result = True
task_publish_retry = False
task_default_queue = DEFAULT_QUEUE
task_create_missing_queues = True
task_routes = {
    TaskName.ADVANCE: {"queue": QueueName.DEPLOYMENTS},
    TaskName.RUN_STEP: {"queue": QueueName.DEPLOYMENTS},
    TaskName.ASK_FOR_HEALTH: {"queue": QueueName.DEPLOYMENTS},
    TaskName.TICK: {"queue": QueueName.DEFAULT},
    TaskName.TELL: {"queue": QueueName.DEFAULT},
}

worker_prefetch_multiplier = 1
worker_disable_prefetch = True
worker_consumer = "workers.consumer:Consumer"
worker_send_task_events = True
task_send_sent_event = False
worker_hijack_root_logger = False
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_transport_options = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Opened when they are needed. Each of Flower's threads (at most 32) holds one while it waits for a second to ask workers with:
# with no more than threads it stands still for ever, and shows nothing.
broker_pool_limit = 50

beat_scheduler = "workers.beat:Scheduler"
beat_max_loop_interval = 1
beat_schedule = {
    "tick": {
        "task": TaskName.TICK,
        "schedule": TICK_SECONDS,
        "options": {"expires": 5, "ignore_result": True},
    }
}
