"""What gunicorn serves: `gunicorn api.wsgi:app`."""

from api.app import application
from orchestrator import log, tracing
from orchestrator.config import Settings

_settings = Settings.from_env()
log.configure(_settings.log_level)
log.name_process(process="web")
tracing.start(_settings, "web")
app = application()
