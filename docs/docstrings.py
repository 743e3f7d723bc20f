"""Our docstrings say ``Example:``, Google's style says ``Examples:``: so that the site shows them as code."""

from __future__ import annotations

from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the section of every docstring."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """After an object was read."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
