"""Limits: what can never pass a limit is refused here, not at the thousandth message.

The quota algorithm never admits more than ``count`` in any window, and at most ``burst`` at once; a message of more
recipients than ``burst`` would wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding, Path, path_text
from smtpctl.model.fleet import Credential, Fleet
from smtpctl.model.policy import Limit

#: Seconds in which a full burst must have come back. The policy service refuses rules of a hundred years; its reserves
#: take a little of the rate as well.
_LONGEST_RECOVERY = 90 * 365 * 86400


def _own_limits(fleet: Fleet) -> Iterator[tuple[Path, Limit]]:
    """Every limit of the inventory with its path."""
    yield from ((("limits", index), limit) for index, limit in enumerate(fleet.limits))
    for name, credential in fleet.credentials.items():
        for index, limit in enumerate(credential.limits or ()):
            yield ("credentials", name, "limits", index), limit


def _limits_in_force(fleet: Fleet) -> Iterator[tuple[Path, Limit, str, Credential]]:
    """Every limit with each credential that it holds for."""
    for name, credential in fleet.credentials.items():
        for index, limit in enumerate(fleet.limits_of(name)):
            own = credential.limits is not None
            path: Path = ("credentials", name, "limits", index) if own else ("limits", index)
            yield path, limit, name, credential


@reads("limits", "credentials")
def a_burst_is_within_its_count(fleet: Fleet) -> Findings:
    """The burst of a limit is not above its count."""
    for path, limit in _own_limits(fleet):
        if limit.burst is not None and limit.burst > limit.count:
            message = f"{path_text(path)}: a burst of {limit.burst} is above the limit of {limit.count} itself"
            yield Finding((*path, "burst"), message, f"at most {limit.count}")


def _message_size(fleet: Fleet, credential: Credential) -> int | None:
    """Bytes of a credential's largest message, where its stream has such a limit."""
    stream = fleet.streams.get(credential.stream)
    return stream.message_size if stream else None


@reads("limits", "credentials", "streams")
def the_largest_message_passes_its_limits(fleet: Fleet) -> Findings:
    """A message with as many recipients as its credential allows fits each limit that counts recipients, and one as
    large as its stream allows each that counts bytes: within its count, and within its burst where that is set."""
    for path, limit, name, credential in _limits_in_force(fleet):
        largest = limit.largest(credential.recipients_per_message, _message_size(fleet, credential))
        if limit.counted == "messages":
            continue
        allowed, key = limit.count, "count"
        if limit.burst is not None and limit.burst < allowed:
            allowed, key = limit.burst, "burst"
        if largest > allowed:
            message = (
                f"{path_text(path)}: a message of credential {name!r} may have {largest} {limit.counted}, "
                f"but one of more than {allowed} ({key}) can never pass"
            )
            hint = f"raise {key}, or set recipients_per_message of {name!r} to {allowed} or less"
            if limit.counted == "bytes":
                hint = f"raise {key}, or set message_size of stream {credential.stream!r} to {allowed} or less"
            yield Finding((*path, key), message, hint)


@reads("limits", "credentials", "streams")
def a_burst_leaves_a_rate(fleet: Fleet) -> Findings:
    """A burst, set or by default, leaves enough of its count for a rate: what a full burst used up comes back at
    count - burst + 1 in each window, and must have come back within a lifetime."""
    told = set()
    for path, limit, name, credential in _limits_in_force(fleet):
        burst = limit.burst_for(credential.recipients_per_message, _message_size(fleet, credential))
        if path in told or not burst <= limit.count:
            continue
        if burst * limit.per > _LONGEST_RECOVERY * (limit.count - burst + 1):
            told.add(path)
            message = (
                f"{path_text(path)}: a burst of {burst} out of {limit.count} leaves credential {name!r} so little "
                "that it would take generations to come back"
            )
            yield Finding((*path, "count"), message, f"raise count, or lower burst (half of count: {limit.count // 2})")


@reads("limits", "credentials")
def a_limit_stands_once(fleet: Fleet) -> Findings:
    """Two limits of one list differ in what they count, by what, or over which window."""
    lists: list[tuple[Path, list[Limit]]] = [(("limits",), fleet.limits)]
    lists += [(("credentials", name, "limits"), own.limits or []) for name, own in fleet.credentials.items()]
    for path, limits in lists:
        seen = set()
        for index, limit in enumerate(limits):
            identity = (frozenset(limit.parts), limit.counted, limit.per)
            if identity in seen:
                where = path_text((*path, index))
                message = f"{where}: {limit.counted} by {limit.key} are limited twice over one window"
                yield Finding((*path, index), message, "keep the stricter of the two")
            seen.add(identity)


@reads("limits", "credentials")
def what_a_limit_is_counted_by_is_known(fleet: Fleet) -> Findings:
    """A limit names each thing that it is counted by once; bytes are a whole message's, so not by provider."""
    for path, limit in _own_limits(fleet):
        if len(set(limit.parts)) < len(limit.parts):
            message = f"{path_text(path)}: {limit.key} names a thing twice"
            joined = "+".join(dict.fromkeys(limit.parts))
            yield Finding((*path, "key"), message, f"write {joined}")
        if limit.counted == "bytes" and "provider" in limit.parts:
            message = f"{path_text(path)}: bytes are a whole message's, which may go to several providers"
            yield Finding((*path, "key"), message, "count recipients, or leave provider out")


@reads("credentials")
def a_ramp_lets_one_message_pass(fleet: Fleet) -> Findings:
    """The first day of a ramp has room for a message with as many recipients as its credential allows."""
    for name, credential in fleet.credentials.items():
        ramp, largest = credential.ramp, credential.recipients_per_message
        if ramp is not None and ramp.first < largest:
            message = f"a message of credential {name!r} may have {largest} recipients, its first day {ramp.first}"
            yield Finding(("credentials", name, "ramp", "first"), message, f"at least {largest}")


CHECKS = (
    what_a_limit_is_counted_by_is_known,
    a_ramp_lets_one_message_pass,
    a_burst_is_within_its_count,
    the_largest_message_passes_its_limits,
    a_burst_leaves_a_rate,
    a_limit_stands_once,
)
