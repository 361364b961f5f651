"""Accounts become keyed hashes, and e-mail addresses are redacted."""

import hashlib
import hmac
import stat

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.privacy import keyed_hash, pseudonymize, redact_emails, secret_key


def test_the_key_is_created_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "study" / "secret.key"
    key = secret_key(path)
    assert len(key) == 32
    assert secret_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_every_study_has_its_own_key(tmp_path):
    assert secret_key(tmp_path / "a") != secret_key(tmp_path / "b")


def test_a_damaged_key_is_not_replaced(tmp_path):
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(DlbugError, match=r"secret\.key is damaged: 5 bytes instead of 32\. Restore it from a backup"):
        secret_key(tmp_path / "secret.key")
    assert (tmp_path / "secret.key").read_bytes() == b"short"


def test_a_key_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DlbugError, match=r"cannot read or write .*secret\.key: File exists"):
        secret_key(tmp_path / "file" / "secret.key")


def test_the_hash_is_hmac_sha256():
    assert keyed_hash(b"key", "4711") == hmac.new(b"key", b"4711", hashlib.sha256).hexdigest()


def test_null_stays_null():
    accounts = pl.Series("owner_id", ["1", None, "2", "1"], pl.String)
    assert pseudonymize(b"k", accounts).to_list() == [
        keyed_hash(b"k", "1"),
        None,
        keyed_hash(b"k", "2"),
        keyed_hash(b"k", "1"),
    ]
    assert pseudonymize(b"k", pl.Series("owner_id", [None], pl.String)).to_list() == [None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail jane.doe+x@cs.example.edu, please", "mail <e-mail>, please"),
        ("<jane@example.com>", "<<e-mail>>"),
        ("a@b.org;c_d@e-f.co.uk", "<e-mail>;<e-mail>"),
        ("o'neil@example.ie", "<e-mail>"),
        ("@tf.function", "@tf.function"),
        ("W @ x.T + b", "W @ x.T + b"),
        ("w@x.T", "w@x.T"),
        ("user@localhost", "user@localhost"),
        (
            "Fix\n\nSigned-off-by: Jane Doe\nCo-Authored-By: Bob <b@x.org>\nend",
            "Fix\n\nSigned-off-by: <e-mail>\nCo-Authored-By: <e-mail>\nend",
        ),
        ("+  Reviewed-by: Jane", "+  Reviewed-by: <e-mail>"),
        ("It was signed-off-by: nobody", "It was signed-off-by: nobody"),
        (None, None),
    ],
)
def test_addresses_are_redacted_and_code_is_kept(text, expected):
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(redact_emails(pl.col("text"))).item() == expected
