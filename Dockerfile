# One image for every process; docker-compose.yml says which one it is.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
WORKDIR /src
COPY requirements.lock .
RUN /venv/bin/pip install --require-hashes -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE* celeryconfig.py ./
COPY orchestrator orchestrator
COPY workers workers
COPY api api
COPY stream stream
COPY migrations migrations
RUN /venv/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
RUN useradd --uid 10001 --create-home --home-dir /home/orchestrator orchestrator \
 && install -d -o orchestrator -g orchestrator -m 0700 /data
COPY --from=build /venv /venv
USER orchestrator
WORKDIR /home/orchestrator
VOLUME /data
EXPOSE 8000 8001 5555
CMD ["gunicorn", "-c", "python:api.serving", "--no-control-socket", "-k", "api.patience.Worker", "--workers", "2", "--threads", "8", "--bind", "0.0.0.0:8000", "api.wsgi:app"]
