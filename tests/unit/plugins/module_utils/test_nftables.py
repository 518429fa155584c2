"""Only our own tables are replaced, and a listing is compared by what it means."""

from __future__ import annotations

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._files import sha256
from ansible_collections.aigo.onprem.plugins.module_utils._nftables import (
    Memory,
    NftablesError,
    Plan,
    Ruleset,
    check,
    normalise,
    plan,
    restore_document,
)

RULES = """
define admins = { 10.0.0.0/24 }
table inet aigo {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tip saddr $admins tcp dport 22 accept comment "a } in a comment" # and { here
\t}
}
"""
LISTING = """table inet aigo {
\tset fixed {
\t\ttype ipv4_addr
\t\telements = { 10.0.0.1 }
\t}

\tset blocked {
\t\ttype ipv4_addr
\t\tflags dynamic,timeout
\t\ttimeout 1h
\t\telements = { 192.0.2.1 expires 59m,
\t\t\t     192.0.2.2 expires 58m }
\t}

\tchain input {
\t\ttcp dport 22 accept
\t}
}
"""


def ruleset(text: str = RULES, tables: tuple[str, ...] = ("aigo",), family: str = "inet") -> Ruleset:
    return Ruleset(family, tables, text)


def test_the_document_replaces_our_table_in_one_transaction_and_flushes_nothing() -> None:
    lines = [line for line in ruleset().document.splitlines() if not line.startswith("#")]
    assert lines[:2] == ["table inet aigo", "delete table inet aigo"]
    assert "flush" not in ruleset().document


def test_a_ruleset_of_our_tables_is_taken() -> None:
    check(ruleset())
    check(ruleset("table inet a {\n}\ntable inet b {\n}\n", ("a", "b")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flush ruleset\n" + RULES, "'flush ruleset'"),
        (RULES + "table inet other {\n}\n", "'table inet other {'"),
        (RULES + "table ip aigo {\n}\n", "'table ip aigo {'"),
        (RULES + "add rule inet docker x accept\n", "'add rule inet docker x accept'"),
        (RULES + 'include "/etc/x"\n', "include"),
        ("", "does not define the table 'aigo'"),
        (RULES + "}\n", "braces do not match"),
        ("table inet aigo {\n", "braces do not match"),
    ],
)
def test_a_ruleset_that_touches_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(NftablesError) as error:
        check(ruleset(text))
    assert said in str(error.value)


def test_restoring_removes_a_table_that_was_not_there_and_brings_back_the_others() -> None:
    document = restore_document("inet", ["a", "b"], ["table inet b {\n}\n"])
    assert document == "table inet a\ndelete table inet a\ntable inet b\ndelete table inet b\ntable inet b {\n}\n"


def test_what_packets_put_into_a_set_is_no_difference() -> None:
    filled = normalise(LISTING)
    assert "10.0.0.1" in filled
    assert "192.0.2" not in filled
    emptied = LISTING.replace("\t\telements = { 192.0.2.1 expires 59m,\n\t\t\t     192.0.2.2 expires 58m }\n", "")
    assert normalise(emptied) == filled


@pytest.mark.parametrize(
    ("old", "new"), [("dport 22", "dport 23"), ("10.0.0.1", "10.0.0.2"), ("timeout 1h", "timeout 2h")]
)
def test_another_rule_or_element_is_a_difference(old: str, new: str) -> None:
    assert normalise(LISTING.replace(old, new)) != normalise(LISTING)


def test_the_plan_follows_what_is_remembered_in_force_and_on_disk() -> None:
    wanted = ruleset()
    known = Memory(wanted.digest, sha256(normalise(LISTING).encode()))
    assert plan(wanted, known, LISTING, wanted.document) == Plan(load=False, persist=False)
    assert plan(wanted, known, "", wanted.document) == Plan(load=True, persist=False)
    assert plan(wanted, known, LISTING, None) == Plan(load=False, persist=True)
    assert plan(wanted, Memory(), LISTING, wanted.document) == Plan(load=True, persist=False)
    assert plan(ruleset(RULES.replace("22", "23")), known, LISTING, wanted.document) == Plan(load=True, persist=True)
