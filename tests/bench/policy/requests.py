"""The requests of the benchmark: what Postfix 3.10 sends, 29 attributes in its order, from 1,000 senders. Pure."""

from __future__ import annotations

SENDERS = 1000
DOMAIN = "bench.test"

_REQUEST = """\
request=smtpd_access_policy
protocol_state={state}
protocol_name=ESMTP
client_address=192.0.2.{octet}
client_name=application{octet}.bench.test
client_port=48{octet:03d}
reverse_client_name=application{octet}.bench.test
server_address=198.51.100.11
server_port=587
helo_name=application{octet}.bench.test
sender={sender}
recipient={recipient}
recipient_count={count}
queue_id=4cXy1z2{octet:03d}Zq9k
instance=INSTANCE
size=2048
etrn_domain=
stress=
sasl_method=plain
sasl_username={user}
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

"""


def sender(number: int) -> str:
    """The address of a sender, who signs in by the same name."""
    return f"application-{number:07d}@{DOMAIN}"


def pieces(state: str, senders: int = SENDERS, first: int = 0, user: str = "") -> list[tuple[bytes, bytes]]:
    """For each sender a request cut at its instance, which is another one each time. ``user`` signs in for all."""
    counted = state in ("DATA", "END-OF-MESSAGE")
    made = []
    for number in range(first, first + senders):
        text = _REQUEST.format(
            state=state,
            octet=number % 250 + 1,
            sender=sender(number),
            user=user or sender(number),
            recipient="someone@example.org",
            count=1 if counted else 0,
        )
        before, _, after = text.encode().partition(b"INSTANCE")
        made.append((before, after))
    return made
