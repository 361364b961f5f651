"""Pseudonymize accounts by keyed hashes, and redact e-mail addresses in texts."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import polars as pl

from dlbug_assets.errors import DlbugError

_KEY_BYTES = 32
#: An e-mail address. False positives (a matrix product such as w@self.bias) are preferred to false negatives.
_E_MAIL = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
REDACTED = "<e-mail>"
#: A trailer such as `Signed-off-by: Jane Doe`, in a message or a patch, which names a person even without an address.
_TRAILER = r"(?im)^([-+\s]*(?:signed-off|co-authored|reviewed|acked|tested|reported|suggested)-by:)[^\n]*"


def secret_key(path: Path) -> bytes:
    """Return the key of a study's hashes (32 bytes); create it (mode 0600) if it does not exist.

    It is never published. Raises :class:`DlbugError` if the file cannot be read or written, or is not a key.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(descriptor)
            try:
                os.link(unfinished, path)  # fails if another process was first; then its key is used
            except FileExistsError:
                pass
            finally:
                unfinished.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise DlbugError(
            f"cannot read or write {path}: {error.strerror}. Make it readable by you, or its folder writable."
        ) from None
    if len(key) != _KEY_BYTES:
        raise DlbugError(
            f"{path} is damaged: {len(key)} bytes instead of {_KEY_BYTES}. Restore it from a backup; a new key would "
            "change the hash of every account."
        )
    return key


def keyed_hash(key: bytes, account: str) -> str:
    """Return the HMAC-SHA256 (RFC 2104) of an account as 64 hexadecimal digits."""
    return hmac.new(key, account.encode(), hashlib.sha256).hexdigest()


def pseudonymize(key: bytes, accounts: pl.Series) -> pl.Series:
    """Return the :func:`keyed_hash` of each account; NULL stays NULL."""
    known = accounts.drop_nulls().unique().to_list()
    return accounts.replace_strict({name: keyed_hash(key, name) for name in known}, return_dtype=pl.String)


def redact_emails(texts: pl.Expr) -> pl.Expr:
    """Replace every e-mail address, and the text after `Signed-off-by:` and similar trailers, by `<e-mail>`."""
    return texts.str.replace_all(_E_MAIL, REDACTED).str.replace_all(_TRAILER, f"$1 {REDACTED}")
