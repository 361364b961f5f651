"""The labels that the paper's authors released, as a source of posts, commits and labels."""

from dlbug_assets.releases.locate import locate
from dlbug_assets.releases.tables import commits, data_quality, items, labels, posts, units
from dlbug_assets.releases.workbooks import read

__all__ = ["commits", "data_quality", "items", "labels", "locate", "posts", "read", "units"]
