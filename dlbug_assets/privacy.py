"""What keeps people out of the tables: accounts become keyed hashes, addresses in texts become `<e-mail>`."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import polars as pl

from dlbug_assets.errors import DlbugError

_KEY_BYTES = 32
#: An address as people write it. It rather takes too much (a matrix product such as w@self.bias) than too little.
_E_MAIL = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
REDACTED = "<e-mail>"
#: A line such as `Signed-off-by: Jane Doe`, in a message or a patch: it names a person even without an address.
_TRAILER = r"(?im)^([-+\s]*(?:signed-off|co-authored|reviewed|acked|tested|reported|suggested)-by:)[^\n]*"


def secret_key(path: Path) -> bytes:
    """The key of a study's hashes, made at the first call (mode 0600) and never published.

    Raises :class:`DlbugError` where the file cannot be read or written, or is not such a key.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                os.fsync(descriptor)
            try:
                os.link(unfinished, path)  # fails where another process was first: then its key counts
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
            "give every account another hash."
        )
    return key


def keyed_hash(key: bytes, account: str) -> str:
    """HMAC-SHA256 (RFC 2104) of an account as 64 hexadecimal digits: the same account, the same hash, in this study."""
    return hmac.new(key, account.encode(), hashlib.sha256).hexdigest()


def pseudonymize(key: bytes, accounts: pl.Series) -> pl.Series:
    """:func:`keyed_hash` of each account; NULL where there is none."""
    known = accounts.drop_nulls().unique().to_list()
    return accounts.replace_strict({name: keyed_hash(key, name) for name in known}, return_dtype=pl.String)


def redact_emails(texts: pl.Expr) -> pl.Expr:
    """Texts with every e-mail address, and what follows `Signed-off-by:` and the like, replaced by `<e-mail>`."""
    return texts.str.replace_all(_E_MAIL, REDACTED).str.replace_all(_TRAILER, f"$1 {REDACTED}")
