"""Ratchet: workflows that recover by themselves. This is what a workflow's author imports."""

from ratchet.authoring import StepContext, Workflow
from ratchet.domain.errors import PermanentError, TransientError
from ratchet.domain.retry import Retry

__all__ = ["PermanentError", "Retry", "StepContext", "TransientError", "Workflow"]
