"""The DNS records that the fleet needs, and the check of what is published against them.

`records_for` and `zone_lines` are pure: same inventory and keys, same text. Only `smtpctl.dns.resolve` asks a server.
smtpctl never changes a zone: it prints what has to stand there.
"""

from smtpctl.dns.record import Record, zone_lines
from smtpctl.dns.records import records_for

__all__ = ["Record", "records_for", "zone_lines"]
