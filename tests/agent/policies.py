"""Policies of tests, by the keys of the config and by what no key sets."""

from __future__ import annotations

from typing import Any

from agent.config.tasks import LimitsSection, PolicySection
from agent.limits.policy import Policy


def policy_with(**values: Any) -> Policy:
    """All else is as where the config says nothing. Raises ValidationError, TypeError."""
    sections = {"rules": PolicySection, "limits": LimitsSection}
    own: dict[str, Any] = {
        name: section(
            **{key: values.pop(key) for key in section.model_fields.keys() & values.keys()}
        )
        for name, section in sections.items()
    }
    return Policy(**own, **values)
