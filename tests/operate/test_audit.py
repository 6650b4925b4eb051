"""Accepted is what left and what waits, and what waits is what the queues hold."""

from __future__ import annotations

from smtpctl.operate.audit import UNEXPLAINED, Audit, Look, accounts_of, differences

A, B, C = ("relay1", "bulk", "A"), ("relay1", "bulk", "B"), ("relay2", "bulk", "A")


def look(ledger: set[tuple[str, str, str]], live: set[tuple[str, str, str]]) -> Look:
    return Look(frozenset(ledger), frozenset(live))


def test_a_difference_is_what_every_look_found() -> None:
    assert differences([look({A, B}, {A, B})]) == ([], [])
    assert differences([look({A}, {A, C})]) == ([C], [])
    assert differences([look({A, B}, {A})]) == ([], [B])
    assert differences([look({A}, {A, C}), look({A, C}, {A, C})]) == ([], [])
    assert differences([look({B}, {C}), look({B}, {C, A})]) == ([C], [B])


def test_an_id_on_two_hosts_names_two_messages() -> None:
    assert differences([look({A}, {C})]) == ([C], [A])


def test_accepted_leaves_out_what_was_never_taken_in() -> None:
    rows = [
        ("relay1", "postfix-bulk", "delivered", 7),
        ("relay1", "postfix-bulk", "in queue", 2),
        ("relay1", "postfix-bulk", "refused", 5),
        ("relay1", "postfix-bulk", "arriving", 1),
        ("edge1", "postfix-submission", "expired", 1),
    ]
    edge, relay = accounts_of(rows)
    assert (edge.host, edge.instance, edge.accepted) == ("edge1", "submission", 1)
    assert (relay.instance, relay.accepted) == ("bulk", 9)


def test_a_message_that_nothing_explains_is_a_difference() -> None:
    assert not Audit(accounts_of([("h", "i", "delivered", 1)]), [], []).differs
    assert Audit(accounts_of([("h", "i", UNEXPLAINED, 1)]), [], []).differs
    assert Audit([], [A], []).differs
    assert Audit([], [], [A]).differs
