"""Verifiers are those that PostgreSQL itself makes."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _scram

# Made by PostgreSQL 17 for the password of RFC 7677's example.
BY_POSTGRES = (
    "SCRAM-SHA-256$4096:ZM8H5VMINIvgaFQVDIP9oQ==$MyJWlBsG0np+0srdpQnIxTHv7wMW+L3zluOBgshYSy4="
    ":Io0ngUp4aRFM4pPAHC5B6mcZOygrbXj1pY58arMpR/Y="
)


def test_a_verifier_equals_what_postgresql_makes_of_the_same_salt() -> None:
    assert _scram.verifier("pencil", base64.b64decode("ZM8H5VMINIvgaFQVDIP9oQ==")) == BY_POSTGRES


def test_the_right_password_matches_and_another_does_not() -> None:
    assert _scram.matches("pencil", BY_POSTGRES)
    assert not _scram.matches("pencils", BY_POSTGRES)


@pytest.mark.parametrize("stored", [None, "", "md5a0b1", "pencil", "SCRAM-SHA-256$x"])
def test_what_is_no_verifier_matches_nothing(stored: str | None) -> None:
    assert not _scram.matches("pencil", stored)


def test_each_verifier_has_a_salt_of_its_own() -> None:
    assert _scram.verifier("pencil") != _scram.verifier("pencil")


@pytest.mark.parametrize("password", ["", "schlüssel", "tab\tinside"])
def test_a_password_that_clients_may_normalise_differently_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        _scram.verifier(password)
