"""What secrets are made, kept and refused."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _secrets as s

GOOD = "Zk3vQ9mT1xWb7LpR"


@pytest.mark.parametrize("length", [16, 32, 47])
@pytest.mark.parametrize("kind", ["password", "hex"])
def test_generated_secret_has_the_length_asked_for_and_passes_its_own_check(kind: str, length: int) -> None:
    spec = s.SecretSpec(length, kind)
    value = s.generate(spec)
    assert len(value) == length
    assert s.weakness(value, spec) is None
    assert value != s.generate(spec)


def test_password_needs_no_quoting_anywhere() -> None:
    assert all(s.generate(s.SecretSpec()).isalnum() for _unused in range(50))


def test_base64key_decodes_to_32_bytes() -> None:
    assert len(base64.b64decode(s.generate(s.SecretSpec(kind="base64key")), validate=True)) == 32


def test_present_secret_is_never_overwritten_and_foreign_names_stay() -> None:
    plan = s.plan({"a": GOOD, "mine": "x"}, {"a": s.SecretSpec(), "b": s.SecretSpec()})
    assert plan.created == ("b",)
    assert plan.after["a"] == GOOD
    assert plan.after["mine"] == "x"
    assert plan.changed


def test_complete_file_needs_no_change() -> None:
    assert not s.plan({"a": GOOD}, {"a": s.SecretSpec()}).changed


def test_rotation_replaces_by_name_and_keeps_the_former_value() -> None:
    plan = s.plan({"a": GOOD, "b": GOOD}, {"a": s.SecretSpec(), "b": s.SecretSpec()}, ["a"])
    assert plan.rotated == ("a",)
    assert plan.after["a_previous"] == GOOD
    assert plan.after["a"] != GOOD
    assert plan.after["b"] == GOOD
    assert "b_previous" not in plan.after


def test_rotation_of_an_undeclared_name_is_an_error_that_names_it() -> None:
    with pytest.raises(s.SecretsError, match=r"rotate names typo.*declared: a"):
        s.plan({}, {"a": s.SecretSpec()}, ["typo"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("short", "has 5 characters, at least 16"),
        ("changeme12345678", "well-known"),
        ("Password!!!!!!!!", "well-known"),
        ("aaaaaaaabbbbbbbb", "repeats"),
    ],
)
def test_weak_supplied_secret_is_named_without_its_value(value: str, reason: str) -> None:
    with pytest.raises(s.SecretsError, match=f"db_password .*{reason}") as caught:
        s.plan({"db_password": value}, {"db_password": s.SecretSpec()})
    assert value not in str(caught.value)


def test_all_weak_secrets_are_reported_at_once() -> None:
    with pytest.raises(s.SecretsError, match=r"one has 1 characters.*two has 2 characters"):
        s.plan({"one": "1", "two": "22"}, {"one": s.SecretSpec(), "two": s.SecretSpec()})


def test_key_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(s.SecretsError, match="key is not the base64 form of 32 bytes"):
        s.plan({"key": "not-base64-but-quite-long"}, {"key": s.SecretSpec(kind="base64key")})


def test_weak_secret_may_be_rotated_away() -> None:
    assert s.plan({"a": "short"}, {"a": s.SecretSpec()}, ["a"]).rotated == ("a",)


def test_specification_shorter_than_its_own_minimum_is_refused() -> None:
    with pytest.raises(s.SecretsError, match=r"secrets\.a: length 8"):
        s.plan({}, {"a": s.SecretSpec(length=8)})


def test_plan_does_not_show_values_when_printed() -> None:
    assert GOOD not in repr(s.plan({"a": GOOD}, {"a": s.SecretSpec()}))


@pytest.mark.parametrize("kind", s.KINDS)
def test_placeholder_is_stable_and_well_formed(kind: str) -> None:
    value = s.placeholder("name", kind)
    assert value == s.placeholder("name", kind) != s.placeholder("other", kind)
    assert s.weakness(value, s.SecretSpec(kind=kind)) is None
