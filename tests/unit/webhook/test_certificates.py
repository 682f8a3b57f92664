"""When certificates are made anew, what they are trusted by, and where they are kept."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tuner.webhook.certs import Certificates, ensured, issued, service_names
from tuner.webhook.certs_files import read_certificates, write_certificates
from tuner.webhook.command import main

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAYS_90 = timedelta(days=90)
NAMES = ("hook.ns.svc", "127.0.0.1")


def made(now: datetime = NOW, **rest) -> Certificates:
    return issued(rest.pop("names", NAMES), now=now, lifetime=DAYS_90, **rest)


def ensure(present: Certificates | None, *, days: float = 0, names=NAMES) -> tuple[Certificates, str]:
    return ensured(present, names, now=NOW + timedelta(days=days), lifetime=DAYS_90)


def authorities(certificates: Certificates) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(certificates.ca_bundle)


def test_good_ones_are_kept_for_two_thirds_of_their_life():
    first = made()
    assert ensure(first, days=59) == (first, "")


def test_they_are_renewed_when_a_third_of_their_life_is_left():
    first = made()
    second, reason = ensure(first, days=61)
    assert "2030-04-01" in reason
    assert second.expires_at == first.expires_at + timedelta(days=61)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda one: None, "there were none"),
        (lambda one: replace(one, cert=b"rubbish"), "do not load"),
        (lambda one: replace(one, key=b""), "do not load"),
        (lambda one: replace(one, key=made().key), "the key is not the certificate's"),
        (lambda one: replace(one, ca_bundle=made().ca_bundle), "no CA in the bundle signed"),
        (lambda one: replace(one, ca_bundle=b"rubbish"), "no CA in the bundle signed"),
    ],
)
def test_what_cannot_serve_is_replaced_and_the_reason_told(spoil, reason: str):
    second, told = ensure(spoil(made()))
    assert reason in told
    assert ensure(second) == (second, "")


def test_another_name_makes_a_new_certificate():
    second, reason = ensure(made(), names=(*NAMES, "10.0.0.1"))
    assert reason == "the certificate is not for 10.0.0.1"
    assert ensure(second, names=(*NAMES, "10.0.0.1"))[1] == ""


def test_servers_with_the_certificate_before_stay_trusted_after_a_renewal():
    first = made()
    second, _ = ensure(first, days=70)
    newest, before = authorities(second)
    x509.load_pem_x509_certificate(second.cert).verify_directly_issued_by(newest)
    x509.load_pem_x509_certificate(first.cert).verify_directly_issued_by(before)


def test_authorities_that_have_ended_leave_the_bundle():
    second, _ = ensure(made(), days=100)
    assert len(authorities(second)) == 1


def test_the_authoritys_key_is_nowhere_and_ours_in_no_repr():
    one = made()
    authority = authorities(one)[0]
    own = x509.load_pem_x509_certificate(one.cert).public_key()
    assert one.key.count(b"PRIVATE KEY") == 2  # begin and end: one key
    assert own != authority.public_key()
    assert "PRIVATE" not in repr(one)


def test_a_client_trusts_it_by_service_name_and_by_address():
    one = made(now=datetime.now(UTC))
    for name in ("hook.ns.svc", "127.0.0.1"):
        assert handshake(one, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(one, "hook.other.svc")


def handshake(one: Certificates, name: str) -> bool:
    """A TLS handshake in memory, the client checking `name`."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        write_certificates(Path(folder), one)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
        client = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(down, up, server_hostname=name)
    answering = server.wrap_bio(up, down, server_side=True)
    for side in (asking, answering) * 2:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return asking.cipher() is not None


def test_the_names_are_those_by_which_the_api_server_calls_a_service():
    assert service_names("hook", "ns")[0] == "hook.ns.svc"


def test_files_come_back_as_they_were_written_and_the_key_is_its_owners(tmp_path):
    one = made()
    write_certificates(tmp_path / "certs", one)
    assert read_certificates(tmp_path / "certs") == one
    assert (tmp_path / "certs" / "tls.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "certs").iterdir()) == ["ca.crt", "tls.crt", "tls.key"]


def test_a_folder_with_one_of_three_files_has_no_certificates(tmp_path):
    write_certificates(tmp_path, made())
    (tmp_path / "ca.crt").unlink()
    assert read_certificates(tmp_path) is None


def test_the_command_makes_files_once_and_then_leaves_them(tmp_path, capsys):
    command = ["certs", "--out", str(tmp_path), "--host", "127.0.0.1"]
    assert main(command) == 0
    first = read_certificates(tmp_path)
    assert "made anew (there were none)" in capsys.readouterr().out
    assert main(command) == 0
    assert read_certificates(tmp_path) == first
    assert "still good" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["certs", "--out", str(tmp_path / "file" / "certs")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_without_a_cluster_apply_says_what_to_set(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["certs", "--apply"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
