"""Publishing: what the study is, the report, and the database that people open."""
