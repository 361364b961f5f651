"""Addresses of repositories and dumps, as a study lists them."""

import re
from pathlib import Path
from typing import Any


def is_address(path: Path | str) -> bool:
    """Whether a dump is named by an address that only Spark reads, such as s3a://bucket/Posts.xml, and by no path."""
    return isinstance(path, str) and "://" in path


def repository_name(address: str) -> str:
    """What a repository of a list is called: owner/name where it is on GitHub, else its address without protocol,
    account and .git."""
    name = re.sub(r"^\w+://([^/]*@)?", "", address).removesuffix("/").removesuffix(".git")
    return re.sub(r"^github\.com/", "", name, flags=re.IGNORECASE)


def as_list(repositories: Any) -> Any:
    return [repositories] if isinstance(repositories, str) else repositories


def is_text(entry: Any) -> bool:
    return isinstance(entry, str) and bool(entry.strip())


def without_account(address: str) -> str:
    """An address that can be shown."""
    return re.sub(r"^((?:\w+://)?)[^/]*@", r"\1", address)
