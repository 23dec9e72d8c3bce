"""Celery tasks: thin shells that name the work and log what goes wrong."""
