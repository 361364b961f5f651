"""What both corpora need to collect from outside: landing, quota, HTTP, Spark, JSON, child processes."""
