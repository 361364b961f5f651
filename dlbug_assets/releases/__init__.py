"""Labels that others published, as a source of items, posts, commits and labels."""

from dlbug_assets.releases.label_rows import Released, read
from dlbug_assets.releases.tables import commits, data_quality, items, labels, posts, rater_labels, units

__all__ = ["Released", "commits", "data_quality", "items", "labels", "posts", "rater_labels", "read", "units"]
