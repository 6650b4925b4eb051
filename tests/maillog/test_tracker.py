"""Messages out of lines: ids used again, children before their parents, late and lost lines, several instances."""

from __future__ import annotations

from collections.abc import Callable

from smtpctl.maillog.labels import Instance, Labels
from smtpctl.model.deliveries import Message, Rows

Track = Callable[..., Rows]
SENT = "relay=mx.test[192.0.2.9]:25, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
LATER = "relay=mx.test[192.0.2.9]:25, delay=9, delays=9/0/0/0, dsn=4.2.0, status=deferred (host mx said: 450 later)"


def by_queue_id(rows: Rows) -> dict[str, Message]:
    return {message.queue_id.decode(): message for message in rows.messages}


def test_a_message_from_acceptance_to_removal(track: Track) -> None:
    rows = track(
        """
        smtpd AAAAA1: client=app.test[192.0.2.1], sasl_method=PLAIN, sasl_username=shop
        cleanup AAAAA1: message-id=<m@x.test>
        opendkim-rsa AAAAA1: DKIM-Signature field added (s=r1, d=shop.test)
        qmgr AAAAA1: from=<a@shop.test>, size=364, nrcpt=2 (queue active)
        smtp AAAAA1: to=<b@x.test>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)
        smtp AAAAA1: to=<c@x.test>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)
        qmgr AAAAA1: removed
        """
    )
    (message,) = rows.messages
    assert (message.origin, message.client.name, message.client.address) == (b"smtp", b"app.test", b"192.0.2.1")
    assert (message.client.credential, message.message_id, message.sender) == (b"shop", b"m@x.test", b"a@shop.test")
    assert (message.size, message.recipients, message.activations, message.end_kind) == (364, 2, 1, b"removed")
    assert message.ended_at == message.started_at + 6000
    assert [delivery.recipient for delivery in rows.deliveries] == [b"b@x.test", b"c@x.test"]
    assert {delivery.message for delivery in rows.deliveries} == {message.id}
    assert [(event.kind, event.message) for event in rows.events] == [("signed", message.id)]


def test_a_message_is_tried_for_days_under_one_row(track: Track) -> None:
    lines = ["0 smtpd AAAAA1: client=h[192.0.2.1]", "cleanup AAAAA1: message-id=<m@x>"]
    for day in range(5):
        lines += [
            f"{day * 86400 + 1} qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)",
            f"smtp AAAAA1: to=<c@d.test>, {LATER}",
        ]
    lines += ["432000 qmgr AAAAA1: from=<a@b>, status=expired, returned to sender", "qmgr AAAAA1: removed"]
    rows = track("\n".join(lines))
    (message,) = rows.messages
    assert (message.activations, message.end_kind, len(rows.deliveries)) == (5, b"expired", 5)


def test_a_queue_id_that_is_used_again_names_another_message(track: Track) -> None:
    once = f"""
        smtpd AAAAA1: client=h[192.0.2.1]
        cleanup AAAAA1: message-id=<one@x>
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        smtp AAAAA1: to=<c@d.test>, {SENT}
        qmgr AAAAA1: removed
    """
    rows = track(once + once.replace("one@x", "two@x"))
    first, second = rows.messages
    assert (first.message_id, second.message_id) == (b"one@x", b"two@x")
    assert [delivery.message for delivery in rows.deliveries] == [first.id, second.id]


def test_an_id_used_again_though_no_removed_was_seen_ends_the_one_before(track: Track) -> None:
    rows = track(
        """
        0 smtpd AAAAA1: client=h[192.0.2.1]
        cleanup AAAAA1: message-id=<one@x>
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        9000 smtpd AAAAA1: client=h[192.0.2.1]
        cleanup AAAAA1: message-id=<two@x>
        """
    )
    first, second = rows.messages
    assert (first.end_kind, second.ended_at) == (b"replaced", None)


def test_a_notification_that_takes_an_old_id_is_its_own_message(track: Track) -> None:
    rows = track(
        """
        0 smtpd AAAAA1: client=h[192.0.2.1]
        cleanup AAAAA1: message-id=<one@x>
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        qmgr AAAAA1: removed
        100 cleanup AAAAA1: message-id=<bounce@x>
        qmgr AAAAA1: from=<>, size=1, nrcpt=1 (queue active)
        """
    )
    assert [(message.origin, message.message_id) for message in rows.messages] == [
        (b"smtp", b"one@x"),
        (b"internal", b"bounce@x"),
    ]


def test_the_same_id_on_two_instances_names_two_messages(track: Track) -> None:
    rows = track(
        f"""
        postfix-in/smtpd AAAAA1: client=h[192.0.2.1]
        postfix-in/cleanup AAAAA1: message-id=<in@x>
        postfix-in/qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        postfix-out/smtpd AAAAA1: client=h[192.0.2.1]
        postfix-out/cleanup AAAAA1: message-id=<out@x>
        postfix-out/qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        postfix-in/smtp AAAAA1: to=<in@d.test>, {SENT}
        postfix-out/smtp AAAAA1: to=<out@d.test>, {SENT}
        postfix-in/qmgr AAAAA1: removed
        postfix-out/qmgr AAAAA1: removed
        """
    )
    places = {message.id: message.place.instance for message in rows.messages}
    assert sorted(places.values()) == [b"postfix-in", b"postfix-out"]
    assert [places[delivery.message] for delivery in rows.deliveries] == [b"postfix-in", b"postfix-out"]
    assert {message.end_kind for message in rows.messages} == {b"removed"}


def test_a_daemon_that_logs_under_a_name_of_its_own_is_of_the_instance(track: Track) -> None:
    rows = track(
        f"""
        mx-outer/weird/smtpd AAAAA1: client=h[192.0.2.1]
        postfix/cleanup AAAAA1: message-id=<m@x>
        postfix/qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        slow-out/smtp AAAAA1: to=<c@d.test>, {SENT}
        postfix/qmgr AAAAA1: removed
        """
    )
    (message,) = rows.messages
    assert (message.place.instance, message.client.name, message.end_kind) == (b"postfix", b"h", b"removed")
    assert rows.deliveries[0].message == message.id


def test_a_transport_under_the_name_of_another_instance_delivers_for_its_own(track: Track) -> None:
    """Debian's master.cf has `-o syslog_name=postfix/relay`, also in the copy of a second instance."""
    rows = track(
        f"""
        postfix/smtpd BBBBB1: client=h[192.0.2.1]
        postfix/cleanup BBBBB1: message-id=<other@x>
        postfix/submission/smtpd AAAAA1: client=h[192.0.2.1]
        postfix-out/cleanup AAAAA1: message-id=<m@x>
        postfix-out/qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        postfix/relay/smtp AAAAA1: to=<c@d.test>, {SENT}
        postfix-out/qmgr AAAAA1: removed
        """
    )
    found = by_queue_id(rows)
    assert (found["AAAAA1"].place.instance, found["AAAAA1"].end_kind) == (b"postfix-out", b"removed")
    assert [delivery.message for delivery in rows.deliveries] == [found["AAAAA1"].id]


def test_a_bounce_is_a_child_though_its_lines_come_first_and_it_is_gone_already(track: Track) -> None:
    rows = track(
        """
        smtpd AAAAA1: client=h[192.0.2.1]
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        cleanup BBBBB1: message-id=<child@x>
        qmgr BBBBB1: from=<>, size=1, nrcpt=1 (queue active)
        qmgr BBBBB1: removed
        bounce AAAAA1: sender non-delivery notification: BBBBB1
        qmgr AAAAA1: removed
        """
    )
    found = by_queue_id(rows)
    assert (found["BBBBB1"].parent, found["BBBBB1"].parent_kind) == (found["AAAAA1"].id, b"bounce")
    assert (found["BBBBB1"].origin, found["BBBBB1"].message_id) == (b"internal", b"child@x")


def test_a_bounce_is_a_child_when_the_parents_line_comes_first(track: Track) -> None:
    rows = track(
        """
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        bounce AAAAA1: sender non-delivery notification: BBBBB1
        cleanup BBBBB1: message-id=<child@x>
        qmgr BBBBB1: from=<>, size=1, nrcpt=1 (queue active)
        """
    )
    assert len(rows.messages) == 2
    found = by_queue_id(rows)
    assert (found["BBBBB1"].parent, found["BBBBB1"].message_id) == (found["AAAAA1"].id, b"child@x")


def test_a_forwarded_copy_and_a_requeued_message_lead_to_where_they_came_from(track: Track) -> None:
    forwarded = "relay=local, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (forwarded as BBBBB1)"
    rows = track(
        f"""
        pickup AAAAA1: uid=0 from=<root>
        qmgr AAAAA1: from=<root>, size=1, nrcpt=1 (queue active)
        cleanup BBBBB1: message-id=<m@x>
        local AAAAA1: to=<team@x>, {forwarded}
        qmgr AAAAA1: removed
        postsuper BBBBB1: requeued
        pickup CCCCC1: uid=0 from=<root> orig_id=BBBBB1
        """
    )
    found = by_queue_id(rows)
    assert (found["BBBBB1"].parent, found["BBBBB1"].parent_kind) == (found["AAAAA1"].id, b"forward")
    assert (found["CCCCC1"].parent, found["CCCCC1"].parent_kind) == (found["BBBBB1"].id, b"requeue")
    assert found["BBBBB1"].end_kind == b"requeued"


def test_an_attempt_shortly_after_removal_is_still_of_the_message(track: Track) -> None:
    rows = track(
        f"""
        0 qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        qmgr AAAAA1: removed
        30 smtp AAAAA1: to=<c@d.test>, {SENT}
        900 smtp AAAAA1: to=<e@f.test>, {SENT}
        """
    )
    early, late = rows.messages
    assert [delivery.message for delivery in rows.deliveries] == [early.id, late.id]


def test_a_log_that_begins_in_the_middle_gives_a_message_of_unknown_origin(track: Track) -> None:
    rows = track(f"smtp AAAAA1: to=<c@d.test>, {SENT}\nqmgr AAAAA1: removed")
    (message,) = rows.messages
    assert (message.origin, message.sender, message.end_kind) == (None, None, b"removed")


def test_a_client_that_gives_up_leaves_an_aborted_message(track: Track) -> None:
    rows = track(
        """
        smtpd AAAAA1: client=h[192.0.2.1]
        smtpd lost connection after DATA (14 bytes) from h[192.0.2.1]
        smtpd disconnect from h[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4
        smtpd BBBBB1: client=h[192.0.2.1]
        cleanup BBBBB1: message-id=<m@x>
        smtpd disconnect from h[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=1 commands=4
        """
    )
    found = by_queue_id(rows)
    assert (found["AAAAA1"].end_kind, found["BBBBB1"].end_kind) == (b"aborted", None)


def test_ways_in_which_a_message_ends(track: Track) -> None:
    rows = track(
        """
        cleanup AAAAA1: message-id=<m@x>
        cleanup AAAAA1: removed (canceled)
        cleanup BBBBB1: message-id=<m@x>
        cleanup BBBBB1: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 spam; from=<a@b> proto=ESMTP helo=<h>
        cleanup CCCCC1: message-id=<m@x>
        postsuper CCCCC1: removed
        qmgr DDDDD1: from=<a@b>, status=force-expired, returned to sender
        qmgr DDDDD1: removed
        """
    )
    ends = {queue_id: message.end_kind for queue_id, message in by_queue_id(rows).items()}
    assert ends == {"AAAAA1": b"canceled", "BBBBB1": b"rejected", "CCCCC1": b"deleted", "DDDDD1": b"force-expired"}


def test_a_message_that_is_taken_and_thrown_away_has_an_end(track: Track) -> None:
    envelope = "from=<a@b> to=<c@d> proto=ESMTP helo=<h>"
    rows = track(
        f"""
        smtpd NOQUEUE: discard: RCPT from h[192.0.2.1]: <a@b>: Sender address unwanted; {envelope}
        smtpd AAAAA1: client=h[192.0.2.1]
        smtpd disconnect from h[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=1 commands=4
        smtpd BBBBB1: client=h[192.0.2.1]
        cleanup BBBBB1: message-id=<m@x>
        cleanup BBBBB1: milter-discard: END-OF-MESSAGE from h[192.0.2.1]: milter triggers DISCARD action; {envelope}
        smtpd CCCCC1: client=h[192.0.2.1]
        smtpd CCCCC1: discard: RCPT from h[192.0.2.1]: <c@d>: Recipient address unwanted; {envelope}
        cleanup CCCCC1: message-id=<m@x>
        cleanup CCCCC1: removed (discarded)
        smtpd DDDDD1: client=h[192.0.2.1]
        cleanup DDDDD1: discard: header Subject: s from h[192.0.2.1]; {envelope}: nope
        smtpd EEEEE1: client=h[192.0.2.1]
        cleanup EEEEE1: message-id=<m@x>
        """
    )
    ends = {queue_id: message.end_kind for queue_id, message in by_queue_id(rows).items()}
    assert ends == {**dict.fromkeys(("AAAAA1", "BBBBB1", "CCCCC1", "DDDDD1"), b"discarded"), "EEEEE1": None}


def test_labels_say_role_pool_stream_provider_and_source_address(track: Track) -> None:
    labels = Labels.from_config(
        {
            "instances": {
                "postfix-submission": {"role": "submission"},
                "postfix-bulk": {
                    "role": "relay",
                    "pool": "bulk",
                    "stream": "news",
                    "sources": ["192.0.2.7", "192.0.2.8"],
                },
            },
            "providers": {"gmail.test": "google"},
            "pools": ["bulk"],
            "streams": {"letters": "news"},
        }
    )
    filtered = "<DATA>: Data command triggers FILTER bulk:[127.0.0.1]:10026; from=<a@b> to=<c@d> proto=ESMTP helo=<h>"
    rows = track(
        f"""
        postfix-submission/submission/smtpd AAAAA1: client=h[192.0.2.1], sasl_method=PLAIN, sasl_username=letters
        postfix-submission/submission/smtpd AAAAA1: filter: DATA from h[192.0.2.1]: {filtered}
        postfix-submission/bulk/smtp AAAAA1: to=<c@GMAIL.test>, {SENT}
        postfix-bulk/smtpd BBBBB1: client=h[192.0.2.1]
        postfix-bulk/microsoft-2/smtp BBBBB1: to=<c@company.test>, {SENT}
        postfix-bulk/default-1/smtp BBBBB1: to=<c@nowhere.test>, {SENT}
        """,
        labels,
    )
    handed_over, to_microsoft, to_others = rows.deliveries
    assert rows.messages[0].place == (b"postfix-submission", b"submission", b"bulk", b"news")
    assert handed_over.route == (b"bulk", None, b"gmail.test", b"google")
    assert to_microsoft.place == (b"postfix-bulk", b"relay", b"bulk", b"news")
    assert to_microsoft.route == (b"microsoft-2", b"192.0.2.8", b"company.test", b"microsoft")
    assert to_others.route == (b"default-1", b"192.0.2.7", b"nowhere.test", b"other")


def test_labels_of_instances_that_are_not_configured_are_empty() -> None:
    labels = Labels(instances={b"postfix": Instance()})
    assert labels.instance(b"elsewhere") == Instance()
    assert labels.source_address(b"postfix", b"smtp") is None
    assert labels.provider(b"smtp", b"x.test") is None


def test_decisions_are_events_with_their_addresses_apart(track: Track) -> None:
    rows = track(
        "smtpd NOQUEUE: reject: RCPT from h[192.0.2.1]: 450 4.7.1 <a@b>: slow down; from=<a@b> to=<c@d> proto=ESMTP "
        "helo=<h> sasl_method=PLAIN sasl_username=shop"
    )
    (event,) = rows.events
    assert (event.kind, event.sender, event.recipient, event.message) == ("reject", b"a@b", b"c@d", None)
    assert event.detail["sasl_username"] == "shop"


def test_unknown_lines_are_counted_by_their_shape(track: Track) -> None:
    rows = track("smtpd something new with 5 <a@b>\nsmtpd something new with 77 <c@d>")
    assert {line.shape for line in rows.unknown} == {b"postfix/smtpd: something new with * *"}


def test_rows_are_numbered_without_gaps_in_the_order_of_the_log(track: Track) -> None:
    rows = track(
        f"""
        smtpd AAAAA1: client=h[192.0.2.1]
        smtp AAAAA1: to=<c@d.test>, {SENT}
        opendkim-rsa AAAAA1: DKIM-Signature field added (s=r1, d=shop.test)
        smtpd BBBBB1: client=h[192.0.2.1]
        """
    )
    numbers = [row.id for row in rows.messages] + [row.id for row in rows.deliveries] + [row.id for row in rows.events]
    assert sorted(numbers) == [1, 2, 3, 4]


def test_what_came_long_after_the_end_is_of_no_message_however_the_log_is_cut(track: Track) -> None:
    rows = track(
        """
        0 smtpd AAAAA1: client=h[192.0.2.1]
        cleanup AAAAA1: message-id=<m@x>
        qmgr AAAAA1: from=<a@b>, size=1, nrcpt=1 (queue active)
        qmgr AAAAA1: removed
        5 opendkim-rsa AAAAA1: DKIM-Signature field added (s=r1, d=shop.test)
        900 opendkim-rsa AAAAA1: DKIM-Signature field added (s=r1, d=shop.test)
        901 smtpd AAAAA1: reject: RCPT from h[192.0.2.1]: 450 4.7.1 no; from=<a@b> to=<c@d> proto=ESMTP helo=<h>
        """
    )
    (message,) = rows.messages
    assert [event.message for event in rows.events] == [message.id, None, None]
