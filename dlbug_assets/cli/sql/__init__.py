"""Ad-hoc SQL on the published database: results of queries, the prompt, and its completion."""
