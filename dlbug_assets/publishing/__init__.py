"""Publishing: facts of the study, the report, the replication package, and the published database."""
