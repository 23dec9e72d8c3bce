"""Deployments followed live, as Server-Sent Events: a process of its own, so that followers never starve the API."""
