"""What a neighbour and a client see of the host."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl

DOMAIN = "aigo.localhost"
ALERT, PROTOCOL_VERSION = 21, 70  # of the TLS record and of its description


def test_a_neighbour_finds_only_ssh_http_and_https_open(address, neighbour):
    assert json.loads(neighbour("scan.py", address)) == [22, 80, 443]


def handshake(address: str, name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection((address, 443), timeout=10), server_hostname=name)


def test_the_certificate_verifies_against_the_sites_authority(address, authority):
    context = ssl.create_default_context(cafile=authority)
    with handshake(address, DOMAIN, context) as client:
        assert client.version() == "TLSv1.3"


def test_a_name_that_is_not_the_sites_gets_no_handshake(address):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with handshake(address, "elsewhere.example.com", context):
            refused = False
    except (ssl.SSLError, ConnectionError):
        refused = True
    assert refused


def test_old_tls_is_refused(address):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    hello = ssl.MemoryBIO()
    client = old.wrap_bio(ssl.MemoryBIO(), hello, server_hostname=DOMAIN)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection((address, 443), timeout=10) as connection:
        connection.sendall(hello.read())
        answer = connection.recv(7)
    assert answer[0] == ALERT
    assert answer[6] == PROTOCOL_VERSION
