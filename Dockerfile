# One image for every process; docker-compose.yml and deploy/ say which one it is.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /build && /build/bin/pip install 'setuptools>=80'
WORKDIR /src
COPY requirements-run.lock .
RUN python -m venv --without-pip /venv \
 && /build/bin/pip --python /venv/bin/python install --require-hashes --no-compile -r requirements-run.lock
COPY setup.cfg pyproject.toml README.md LICENSE* celeryconfig.py ./
COPY orchestrator orchestrator
COPY workers workers
COPY api api
COPY stream stream
COPY migrations migrations
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /venv/bin/python install --no-deps --no-index /wheels/*.whl \
 && /venv/bin/python -m compileall -q /venv/lib

# No compiler, no pip, no tests; the root file system may be read-only, but for /tmp and /data.
FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data HOME=/tmp
RUN apt-get update && apt-get install -y --no-install-recommends openssh-client && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --home-dir /tmp orchestrator \
 && install -d -o orchestrator -g orchestrator -m 0700 /data
COPY --from=build /venv /venv
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8000 8001 5555 9100
CMD ["gunicorn", "-c", "python:api.serving", "--no-control-socket", "-k", "api.patience.Worker", "--workers", "2", "--threads", "8", "--bind", "0.0.0.0:8000", "api.wsgi:app"]
