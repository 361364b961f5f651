"""What several tests share: corpora, servers and processes to try the code with."""
