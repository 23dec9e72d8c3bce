"""Tables: columns, constraints, relationships; no queries."""

from orchestrator.models.api_token import ApiToken
from orchestrator.models.application import Application, Pipeline
from orchestrator.models.base import Base
from orchestrator.models.deployment import Deployment, Hold, Installation, Plan
from orchestrator.models.drift import DriftCheck
from orchestrator.models.environment import Environment, Target
from orchestrator.models.event import Event, Heartbeat, IdempotencyKey, Origin
from orchestrator.models.gate import Approval, Lock, WindowRule
from orchestrator.models.grant import Grant
from orchestrator.models.health import HealthWatch, TargetHealth
from orchestrator.models.hook import Hook, HookReceipt
from orchestrator.models.release import Release
from orchestrator.models.schedule import Promotion, Schedule
from orchestrator.models.step import Attempt, LogChunk, Step, Wave
from orchestrator.models.user import SignIn, User
from orchestrator.models.webhook import Delivery, DeliveryTry, Outbox, Webhook

__all__ = [
    "ApiToken",
    "Application",
    "Approval",
    "Attempt",
    "Base",
    "Delivery",
    "DeliveryTry",
    "Deployment",
    "DriftCheck",
    "Environment",
    "Event",
    "Grant",
    "HealthWatch",
    "Heartbeat",
    "Hold",
    "Hook",
    "HookReceipt",
    "IdempotencyKey",
    "Installation",
    "Lock",
    "LogChunk",
    "Origin",
    "Outbox",
    "Pipeline",
    "Plan",
    "Promotion",
    "Release",
    "Schedule",
    "SignIn",
    "Step",
    "Target",
    "TargetHealth",
    "User",
    "Wave",
    "Webhook",
    "WindowRule",
]
