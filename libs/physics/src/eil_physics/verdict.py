"""What a physical check can say."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["holds", "contradicted", "untested"]
"""``untested`` means that the data have no power to decide: such a check earns nothing and accuses nobody."""
