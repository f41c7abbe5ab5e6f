"""A certificate or key that does not serve is refused before anything listens, with what helps."""

import ssl

import pytest

from hwctl.config.load import check
from hwctl.config.tls import server_context
from hwctl.model.errors import ConfigError

never = pytest.fail
MANGLED = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_a_pair_that_fits_makes_a_context_of_tls_1_2_and_newer(certificate):
    pair = certificate()
    context = server_context(pair.cert, pair.key, expired=never)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    signed = certificate("leaf", signed_by=pair)
    assert server_context(signed.cert, signed.key, expired=never)


def test_a_certificate_of_tomorrow_is_the_callers_matter(certificate):
    """A head without a clock of its own wakes up in the past."""
    pair = certificate(age_days=-1)
    assert server_context(pair.cert, pair.key, expired=never)


def test_an_expired_one_is_told_and_serves(certificate):
    """Who is far from his authority must still have his rig guarded."""
    pair = certificate(days=1, age_days=2)
    told = []
    assert server_context(pair.cert, pair.key, expired=told.append)
    (error,) = told
    assert "certificate has expired" in error.what
    assert error.where == str(pair.cert)
    assert "renew" in error.hint


def _of_another(make, folder):
    pair, other = make(), make("other")
    return pair.cert, other.key, other.key


def _for_clients(make, folder):
    pair = make(purpose="CLIENT_AUTH")
    return pair.cert, pair.key, pair.cert


def _swapped(make, folder):
    pair = make()
    return pair.key, pair.cert, pair.key


def _mangled(make, folder):
    pair = make()
    pair.cert.write_text(MANGLED)
    return pair.cert, pair.key, pair.cert


def _no_key(make, folder):
    pair = make()
    pair.key.write_text("hello")
    return pair.cert, pair.key, pair.key


def _locked(make, folder):
    pair = make(passphrase=b"secret")
    return pair.cert, pair.key, pair.key


def _missing(make, folder):
    pair = make()
    pair.key.unlink()
    return pair.cert, pair.key, pair.key


def _folder(make, folder):
    pair = make()
    return folder, pair.key, folder


def _unreadable(make, folder):
    """A file where a folder should be: as unreadable to root as to anybody."""
    pair = make()
    return pair.cert, pair.key / "key.pem", pair.key / "key.pem"


FAULTS = {
    "a key of another": (_of_another, "does not belong to the certificate", "openssl"),
    "for clients only": (_for_clients, "unsuitable certificate purpose|unsupported", "server"),
    "swapped": (_swapped, "no certificate in PEM", "BEGIN CERTIFICATE"),
    "mangled": (_mangled, "no certificate in PEM", "BEGIN CERTIFICATE"),
    "no key": (_no_key, "no private key in PEM", "openssl pkey"),
    "a key with a passphrase": (_locked, "or has a passphrase", "openssl pkey"),
    "not there": (_missing, "does not exist", "PEM"),
    "unreadable": (_unreadable, "cannot be read: Not a directory", "chgrp hwctl"),
    "a folder": (_folder, "is no file", "PEM"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_serve_is_named_with_what_helps(certificate, tmp_path, fault):
    spoil, what, hint = FAULTS[fault]
    cert, key, blamed = spoil(certificate, tmp_path)
    with pytest.raises(ConfigError, match=what) as caught:
        server_context(cert, key, expired=never)
    assert caught.value.where == str(blamed)
    assert hint in caught.value.hint


def found(path, severity="error"):
    """The only problem: its line's text, what, hint."""
    (problem,) = check(path)
    line = path.read_text().splitlines()[problem.line - 1]
    assert problem.severity == severity
    return line, problem.what, problem.hint


def test_check_takes_a_good_pair_beside_the_settings_file(rig, certificate):
    certificate()
    lines = 'port = 8470\ntls_cert = "rig.pem"\ntls_key = "rig.key"\nnames = ["rig.test"]'
    assert check(rig(settings=(("port = 8470", lines),))) == []


@pytest.mark.parametrize("key", ["tls_cert", "tls_key"])
def test_check_wants_both_or_neither(rig, key):
    other = {"tls_cert": "tls_key", "tls_key": "tls_cert"}[key]
    line, what, hint = found(rig(settings=(("port = 8470", f'{key} = "x.pem"'),)))
    assert line.startswith(key)
    assert what == f"`{key}` stands without `{other}`"
    assert "both" in hint


@pytest.mark.parametrize(
    ("fault", "blamed"),
    [("swapped", "tls_cert"), ("a key of another", "tls_key"), ("not there", "tls_key")],
)
def test_check_names_the_line_of_the_file_that_is_wrong(rig, certificate, tmp_path, fault, blamed):
    spoil, what, _ = FAULTS[fault]
    cert, key, _ = spoil(certificate, tmp_path)
    lines = f'tls_cert = "{cert.name}"\ntls_key = "{key}"'
    line, said, hint = found(rig(settings=(("port = 8470", lines),)))
    assert line.startswith(blamed)
    assert what in said
    assert hint


def test_check_warns_of_an_expired_one(rig, certificate):
    certificate(days=1, age_days=2)
    lines = 'port = 8470\ntls_cert = "rig.pem"\ntls_key = "rig.key"\nnames = ["rig.test"]'
    line, said, hint = found(rig(settings=(("port = 8470", lines),)), "warning")
    assert line.startswith("tls_cert")
    assert "expired" in said
    assert "renew" in hint
