"""``smtpctl queue``: the queues of all Postfix instances of all hosts as one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import select
from smtpctl.cli.ledger_access import ledger_reader
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import JSON_VERSION, print_error, print_foreign, print_json, progress
from smtpctl.cli.queue_options import Choice, choosing
from smtpctl.errors import SmtpctlError, UsageError

if TYPE_CHECKING:
    from smtpctl.operate.queues import FleetQueues, Selected
    from smtpctl.operate.visits import Visits
    from smtpctl.operate.wanted import Wanted
    from smtpctl.transport.host import Host

json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

#: What `top` counts by.
GROUPS = ("domain", "provider", "reply", "sender", "sender-domain", "pool", "queue")

#: Where an action means something: what is on hold already cannot be put there, and is not tried.
_MEANT = {
    "hold": ("incoming", "active", "deferred"),
    "release": ("hold",),
    "retry": ("incoming", "active", "deferred"),
}

#: Messages that `show` shows at most: they are for somebody to read.
_READ = 100

#: Seconds between two lines of progress.
_LOOK = 1.0


@click.group()
def queue() -> None:
    """Look at, and act on, the mail that waits: all queues of all hosts as one.

    \b
    Examples:
      smtpctl queue list --provider google --older 1h
      smtpctl queue top --by reply
      smtpctl queue hold --credential shop
      smtpctl queue delete --sender @shop.example.com --domain example.net --yes
      smtpctl queue show 4jX5vT1sY3zJk9D --content
    """


@queue.command("list")
@choosing
@json_option
def list_(as_json: bool, **options: Any) -> None:
    """List the messages that wait, with the last reply to each recipient. `--json` prints one a line.

    Choose by any of the options: one given twice means either value, different ones must all hold.
    """
    with _opened(options) as (queues, wanted, visits):
        lock = threading.Lock()
        show = _json_lines if as_json else _text_lines

        def lines(host: str, instance: str, content: bytes) -> None:
            text = "".join(show(host, instance, line) for line in content.splitlines())
            with lock:
                print_foreign(text, nl=False)

        selected = queues.select(wanted, on_lines=lines)
        progress(f"{_messages(selected.messages)} on {len(visits.hosts)} hosts")
        _stop_on(visits)


@queue.command()
@choosing
@click.option("--by", type=click.Choice(GROUPS), default="domain", show_default=True, help="What to count by.")
@click.option("--first", default=20, show_default=True, type=click.IntRange(1), help="Most groups to show.")
@json_option
def top(by: str, first: int, as_json: bool, **options: Any) -> None:
    """Count the messages that wait by recipient domain, provider, reply, sender, pool or queue; largest first."""
    with _opened(options) as (queues, wanted, visits):
        selected = queues.select(wanted, by=by)
        groups = selected.groups.most_common(first)
        if as_json:
            shown = [{"group": group, "messages": messages} for group, messages in groups]
            print_json({"by": by, "messages": selected.messages, "groups": shown, "queues": _counts(selected)})
        else:
            _show_counts(selected)
            for group, messages in groups:
                print_foreign(f"{messages:>9}  {group or '<>'}")
        _stop_on(visits)


@queue.command()
@choosing
@click.option("--content", is_flag=True, help="Header and body too. The host logs that you read it.")
@json_option
def show(content: bool, as_json: bool, **options: Any) -> None:
    """Show messages whole: every recipient with its last reply and, if asked for, the letter itself.

    Choose by queue id or by any of the options, a hundred messages at most.
    """
    with _opened(options) as (queues, wanted, visits):
        if wanted.everything:
            raise UsageError(
                "which message?", hint="give its queue id, as `smtpctl queue list` shows it, or choose by an option"
            )
        found: list[dict[str, Any]] = []

        def lines(host: str, instance: str, text: bytes) -> None:
            if len(found) <= _READ:
                found.extend({"host": host, "instance": instance, **json.loads(line)} for line in text.splitlines())

        selected = queues.select(wanted, on_lines=lines)
        if selected.messages > _READ:
            raise UsageError(
                f"{_messages(selected.messages)} are too many to read", hint="choose fewer, or see smtpctl queue list"
            )
        for message in found:
            if content:
                text = queues.content(message["host"], message["instance"], message["queue_id"])
                message["content"] = text.decode(errors="replace")
            if not as_json:
                print_foreign(_whole(message))
        if as_json:
            print_json({"messages": found})
        _stop_on(visits)
        if not found:
            what = ", ".join(options["ids"]) or "such a message"
            raise SmtpctlError(f"no host has {what}", hint="it may have left: smtpctl ledger show ID|ADDRESS")


@queue.command()
@click.argument("host")
@inventory_option
@click.option("--undo", is_flag=True, help="Let the host take and deliver mail again.")
@yes_option
def drain(host: str, inventory: Path, undo: bool, yes: bool) -> None:
    """Empty a relay that has to go: nothing new comes in, and what waits moves to the other relays of its pools.

    What is on hold stays on hold, and is left where it is: release or delete it first. When the host is empty and the
    ledger has read its log it may be switched off; take it out of the inventory and apply before it comes back.

    \b
    Examples:
      smtpctl queue drain relay1
      smtpctl queue drain relay1 --undo
    """
    from smtpctl.operate.draining import Drain
    from smtpctl.operate.visits import visits

    selection = select(inventory, placeholders=True)
    if host not in selection.fleet.hosts:
        raise UsageError(f"no host {host!r} in the inventory", hint=f"hosts: {', '.join(selection.fleet.hosts)}")
    with visits(selection.targets) as opened:
        if host in opened.errors:
            raise opened.errors[host]
        draining = Drain(selection.fleet, opened, host)
        if undo:
            draining.end()
            click.echo(f"{host} takes mail again")
            return
        _show_counts(draining.left())
        if not yes and not click.confirm(f"\nempty {host}?", err=True):
            return
        draining.begin()
        left = draining.empty(lambda moving, sessions: progress(f"{_messages(moving)} left, {sessions} sessions"))
        if left.messages:
            raise SmtpctlError(
                f"{_messages(left.messages)} on hold at {host}, everything else has moved",
                hint=f"smtpctl queue list --host {host} --queue hold; release or delete them, and drain again",
            )
        progress(f"the ledger reads the log of {host} to its end")
        unread = _unread(inventory, opened.hosts[host])
    if unread:
        print_error(unread, hint=f"leave {host} on until smtpctl ledger audit agrees: its log is nowhere else")
    click.echo(f"{host} is empty and takes nothing{'' if unread else ': it may be switched off'}")


def _unread(inventory: Path, host: Host) -> str:
    """Why the host's log is not in the ledger to its end; empty once it is."""
    from smtpctl.operate.shipped import is_read

    try:
        with ledger_reader(None, inventory) as reader:
            return "" if is_read(reader, host) else f"the ledger has not read the log of {host.name} to its end"
    except SmtpctlError as error:
        return f"the ledger does not say how far it has read the log of {host.name}: {error}"


def _acting(action: str, summary: str, past: str) -> None:
    """Define the command that does ``action`` to what is chosen."""

    def command(yes: bool, as_json: bool, **options: Any) -> None:
        _act(action, past, options, yes=yes, as_json=as_json)

    command.__doc__ = f"""{summary}

    Counts first, and asks, unless --yes is given. What is counted is what is acted on.
    """
    queue.command(action)(choosing(yes_option(json_option(command))))


for _action, _summary, _past in (
    ("hold", "Put messages on hold: they stay, and are not tried.", "put on hold"),
    ("release", "Let messages go that are on hold.", "released"),
    ("retry", "Try messages now instead of at their next turn.", "tried again"),
    ("requeue", "Take messages through address rewriting and routing anew, under a new queue id.", "requeued"),
    ("delete", "Delete messages. Nobody is told.", "deleted"),
    ("bounce", "Return messages to their senders as undeliverable, now.", "returned"),
):
    _acting(_action, _summary, _past)


def _act(action: str, past: str, options: dict[str, Any], *, yes: bool, as_json: bool) -> None:
    if as_json and not yes:
        raise UsageError("--json cannot ask", hint="add --yes")
    with _opened(options) as (queues, wanted, visits):
        if wanted.everything and not options["hosts"]:
            raise UsageError(
                f"nothing is chosen: this would {action} every message of the fleet",
                hint="choose by an option, or name each host with --host if you mean all of it",
            )
        selected = queues.select(replace(wanted, queues=_queues_for(action, wanted.queues)))
        if not as_json:
            _show_counts(selected)
        _stop_on(visits)
        if not selected.messages:
            if as_json:
                print_json({"action": action, "selected": 0, "acted": {}})
            return
        if not yes and not click.confirm(f"\n{action} {_messages(selected.messages)}?", err=True):
            return
        acted = queues.act(action, _progress(selected.messages))
        done = sum(sum(found.values()) for found in acted.values())
        if as_json:
            print_json({"action": action, "selected": selected.messages, "acted": acted})
        else:
            gone = selected.messages - done
            click.echo(f"{_messages(done)} {past}" + (f"; {gone} had left the queue meanwhile" if gone > 0 else ""))
        _stop_on(visits)


def _queues_for(action: str, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The queues in which an action means something, or those of them that were chosen; none: all."""
    meant = _MEANT.get(action, ())
    queues = tuple(name for name in chosen or meant if name in meant or not meant)
    if chosen and not queues:
        raise UsageError(f"{action} does nothing in {', '.join(chosen)}", hint=f"it is for {', '.join(meant)}")
    return queues


def _progress(total: int) -> Callable[[str, int], None]:
    """Says now and then how far an action is."""
    lock = threading.Lock()
    done, said = 0, time.monotonic()

    def step(host: str, messages: int) -> None:
        nonlocal done, said
        with lock:
            done += messages
            if time.monotonic() - said >= _LOOK:
                said = time.monotonic()
                progress(f"{done} of {total}")

    return step


@contextmanager
def _opened(options: dict[str, Any]) -> Iterator[tuple[FleetQueues, Wanted, Visits]]:
    """The fleet's queues over open connections, and what the options chose."""
    from smtpctl.operate.queues import FleetQueues
    from smtpctl.operate.visits import visits
    from smtpctl.operate.wanted import check

    choice = Choice(**options)
    selection = select(choice.inventory, choice.hosts, placeholders=True)
    wanted = choice.wanted()
    check(wanted, selection.fleet)
    if wanted.credentials:
        wanted = replace(wanted, journeyed=journeyed(choice.inventory, wanted.credentials))
    with visits(selection.targets) as opened:
        yield FleetQueues(selection.fleet, opened), wanted, opened


def journeyed(inventory: Path, credentials: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """Where relays have mail of ``credentials``, by host and instance. Without the ledger it is not found, which is
    said: what waits on submission hosts is found all the same."""
    found: dict[str, dict[str, list[str]]] = {}
    try:
        with ledger_reader(None, inventory) as reader:
            rows = reader.waiting_of(list(credentials))
    except SmtpctlError as error:
        print_error(
            f"on submission hosts only: {error}", "which mail on relays is a credential's, only the ledger knows"
        )
        return found
    for row in rows:
        instance = row["instance"].removeprefix("postfix-")
        found.setdefault(row["host"], {}).setdefault(instance, []).append(row["queue_id"])
    return found


def _stop_on(visits: Visits) -> None:
    """Print every host's error, and raise one for all."""
    for error in visits.errors.values():
        print_error(str(error), error.hint)
    if visits.errors:
        raise SmtpctlError(f"not all hosts answered: {', '.join(visits.errors)}", hint="--host chooses the others")


def _counts(selected: Selected) -> list[dict[str, Any]]:
    return [{name: getattr(count, name) for name in count.__slots__} for count in selected.counts]


def _show_counts(selected: Selected) -> None:
    now = time.time()
    for count in selected.counts:
        others = f", {count.others} of them also to others" if count.others else ""
        click.echo(
            f"{count.host:<12} {count.instance:<16} {count.queue:<9} {_messages(count.messages):>16}, "
            f"{count.recipients} recipients, {_size(count.bytes)}, oldest {_age(now - count.oldest)}{others}",
            err=True,
        )
    click.echo(f"{_messages(selected.messages)}", err=True)


def _json_lines(host: str, instance: str, line: bytes) -> str:
    """The line as it came, with where it comes from in front: nothing is read that is only to be written again."""
    return f"{_place(host, instance)}, {line.decode().strip()[1:]}\n"


@cache
def _place(host: str, instance: str) -> str:
    return json.dumps({"version": JSON_VERSION, "host": host, "instance": instance}).removesuffix("}")


def _text_lines(host: str, instance: str, line: bytes) -> str:
    message = json.loads(line)
    first, *others = message["recipients"]
    more = f" +{len(others)}" if others else ""
    reason = first.get("delay_reason", "")
    return (
        f"{host:<10} {instance:<14} {message['queue_name']:<8} {message['queue_id']:<17} "
        f"{_age(time.time() - message['arrival_time']):>5} {_size(message['message_size']):>6} "
        f"<{message['sender']}> <{first['address']}>{more}{'  ' if reason else ''}{reason}\n"
    )


def _whole(message: dict[str, Any]) -> str:
    lines = [
        f"{message['queue_id']} on {message['host']}, {message['instance']}, {message['queue_name']}",
        f"  from <{message['sender']}>, {_size(message['message_size'])}, "
        f"for {_age(time.time() - message['arrival_time'])}",
    ]
    lines += [f"  to <{to['address']}>  {to.get('delay_reason', '')}".rstrip() for to in message["recipients"]]
    if "content" in message:
        lines += ["", message["content"]]
    return "\n".join(lines)


def _messages(number: int) -> str:
    return f"{number} {'message' if number == 1 else 'messages'}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _size(octets: int) -> str:
    for unit, length in (("G", 1024**3), ("M", 1024**2), ("k", 1024)):
        if octets >= 2 * length:
            return f"{octets / length:.0f}{unit}"
    return f"{octets}"
