"""What a neighbour and a client see of the host."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess

from conftest import CONTAINER, INVENTORY, LAB, ROOT

DOMAIN = "aigo.localhost"


def test_a_neighbour_finds_only_ssh_http_and_https_open(address):
    image = subprocess.run(
        ["docker", "inspect", "--format={{.Config.Image}}", CONTAINER], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = ["docker", "run", "--rm", "-i", f"--network=aigo-{LAB}", "--entrypoint=python3", image, "-", address]
    with (ROOT / "molecule" / "resources" / "scan.py").open() as script:
        done = subprocess.run(command, stdin=script, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [22, 80, 443]


def handshake(address: str, name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection((address, 443), timeout=10), server_hostname=name)


def test_the_certificate_verifies_against_the_sites_authority(address):
    context = ssl.create_default_context(cafile=INVENTORY / ".state" / "ca" / "ca.pem")
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
    context = ssl.create_default_context(cafile=INVENTORY / ".state" / "ca" / "ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with handshake(address, DOMAIN, context):
            refused = False
    except (ssl.SSLError, ConnectionError):
        refused = True
    assert refused
