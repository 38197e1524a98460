"""The study that tests of plans share."""

from tests.support.plans import study

__all__ = ["study"]
