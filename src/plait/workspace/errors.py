"""The one error of the workspace server."""

from __future__ import annotations


class WorkspaceError(Exception):
    """A tool cannot do what was asked. The text says what, where and how to fix it, and goes to the
    model as it is."""
