"""Kopf's side: how it logs in."""

import ssl

import kopf

from modelward.handlers import _Connection


def test_certificates_without_key_identifiers_are_accepted() -> None:
    """They are verified, with the host name, but not by the stricter rules that Python 3.13 made its default."""
    connection = _Connection.of(kopf.ConnectionInfo(server="https://old", token="t"), server="https://new")
    assert connection is not None
    context = connection.as_ssl_context()
    assert (connection.server, connection.token) == ("https://new", "t")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_no_credentials_are_no_connection() -> None:
    """Kopf then says that there are none."""
    assert _Connection.of(None) is None
