"""Stand-ins of the services that are asked, over real sockets. A package: else github.py were taken for PyGithub."""
