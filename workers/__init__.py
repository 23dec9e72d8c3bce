"""Celery workers: they carry out deployments, a slice at a time."""
