"""Addresses of repositories and dumps in a study file."""

import re
from pathlib import Path
from typing import Any

#: Bytes of the name of a file.
_LONGEST_NAME = 255


def is_address(path: Path | str) -> bool:
    """Return whether a dump is an address that only Spark reads, such as s3a://bucket/Posts.xml, not a path."""
    return isinstance(path, str) and "://" in path


def is_too_long_for_files(address: str) -> bool:
    """Return whether a part of an address or path is longer than names of files can be."""
    return any(len(part.encode()) > _LONGEST_NAME for part in address.split("/"))


def repository_name(address: str) -> str:
    """Return a repository's name: owner/name on GitHub, else the address without protocol, account and .git."""
    name = re.sub(r"^\w+://([^/]*@)?", "", address).removesuffix("/").removesuffix(".git")
    return re.sub(r"^github\.com/", "", name, flags=re.IGNORECASE)


def as_list(repositories: Any) -> Any:
    """Return a list of one search, or the given list."""
    return [repositories] if isinstance(repositories, str) else repositories


def is_text(entry: Any) -> bool:
    """Return whether an entry is a string with characters other than whitespace."""
    return isinstance(entry, str) and bool(entry.strip())


def without_account(address: str) -> str:
    """Return an address without its account, password or token."""
    return re.sub(r"^((?:\w+://)?)[^/]*@", r"\1", address)
