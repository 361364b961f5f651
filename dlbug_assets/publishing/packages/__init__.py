"""The replication package: what it contains, its citation and checklist, and how it is verified."""
