"""The command line: the only place that prints, prompts and exits. Commands are imported when they are called."""

from __future__ import annotations

import importlib
import os
import sys

import click

from smtpctl import __version__
from smtpctl.errors import SmtpctlError

#: command -> module in this package that defines it under the same name ("-" becomes "_").
LAZY = {
    "validate": "validate",
    "schema": "schema",
    "render": "render",
    "secrets": "secrets",
    "dns": "dns",
    "policy": "policy",
    "lab": "lab",
    "bootstrap": "bootstrap",
    "plan": "plan",
    "apply": "apply",
    "upgrade": "upgrade",
    "history": "history",
    "rollback": "rollback",
    "drift": "drift",
    "ledger": "ledger",
    "gdpr": "gdpr",
    "queue": "queue",
    "status": "status",
    "adopt": "adopt",
    "backup": "backup",
    "restore": "backup",
    "pause": "pause",
    "resume": "pause",
    "why": "why",
    "doctor": "doctor",
    "incidents": "incidents",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(LAZY)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY:
            return None
        module = importlib.import_module(f"smtpctl.cli.{LAZY[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in LAZY])


#: command -> its line in `smtpctl --help`, so that the overview imports nothing. A test holds it against the commands.
SUMMARIES = {
    "validate": "Report everything that is wrong with an inventory.",
    "schema": "Print the form of an inventory: JSON schema, reference or sample.",
    "render": "Write the whole file tree of every host into a folder.",
    "secrets": "Make, show and change the fleet's secrets: DKIM keys, certificates, passwords.",
    "dns": "Print the DNS records that the fleet needs, or check what is published.",
    "policy": "Compile the policy service's rules, and see how it decides.",
    "lab": "Boot the six hosts and an internet on this machine.",
    "bootstrap": "Make a bare host ready for everything else.",
    "plan": "Show every difference between the inventory and the hosts. Writes nothing anywhere.",
    "apply": "Bring the hosts to what the inventory says, or carry out a saved plan.",
    "upgrade": "Upgrade the packages that carry mail, host after host, without mail noticing.",
    "history": "Show who changed the hosts, when, what, and how it went.",
    "rollback": "Bring hosts back to what they were.",
    "drift": "Report what has changed on the hosts without smtpctl.",
    "ledger": "Ask the ledger what became of messages.",
    "gdpr": "Export or erase what the fleet holds about an address (GDPR, articles 15 and 17).",
    "queue": "Look at, and act on, the mail that waits: all queues of all hosts as one.",
    "status": "Show whether mail is flowing: what arrives, what waits, what is paused, what is wrong.",
    "adopt": "Draft the inventory of a mail server that was set up by hand.",
    "backup": "Write a backup: ledger, keys, mailboxes, inventory, encrypted for those who can open the secrets.",
    "restore": "Restore a backup into a fleet.",
    "pause": "Stop mail of a credential, stream, pool, provider, source, sender domain or campaign; or all of it.",
    "resume": "Let mail go on that was paused.",
    "why": "Say why mail waits or failed: in sentences, with the lines that prove them, and what to do.",
    "doctor": "Check what a plan cannot see: clock, DNS, disk, memory, upgrades, kernel, mail that is stuck.",
    "incidents": "See what concerns security, and acknowledge it: bad logins, floods, foreign senders, changed files.",
}


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="smtpctl")
def cli() -> None:
    """Configure, change and watch a fleet of Postfix servers from one inventory.

    \b
    Examples:
      smtpctl validate inventory/reference.yml
      smtpctl plan inventory/reference.yml
      smtpctl apply inventory/reference.yml
      smtpctl ledger show someone@example.com
    """


def main() -> None:
    """Entry point of the ``smtpctl`` program: errors become one line, a hint and an exit code; never a traceback."""
    try:
        # outside standalone mode click returns the code of ctx.exit(), and what a command returned
        outcome = cli.main(standalone_mode=False)
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except SmtpctlError as error:
        _print_error(str(error), error.hint)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _print_error("interrupted")
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SMTPCTL_TRACEBACK"):
            raise
        _print_error(f"a bug in smtpctl: {type(error).__name__}: {error}", "SMTPCTL_TRACEBACK=1 shows where")
        sys.exit(1)


def _print_error(message: str, hint: str = "") -> None:
    from smtpctl.cli.output import print_error  # brings json, which an overview does not need

    print_error(message, hint)
