"""``smtpctl ledger classify``: what a server's reply means, and what to do about it."""

from __future__ import annotations

import sys

import click

from smtpctl.cli.output import print_json


@click.command()
@click.argument("reply", nargs=-1, required=True, metavar="REPLY|-")
@click.option("--status", default="", metavar="X.Y.Z", help="Enhanced status code, where the reply does not say it.")
@click.option("--provider", default="", help="Whose server: google, microsoft, yahoo, apple. [default: by its words]")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def classify(reply: tuple[str, ...], status: str, provider: str, as_json: bool) -> None:
    """Say what a REPLY means (- reads replies from standard input, one a line): category, hard, soft or undetermined,
    what to do, and the rule's source. The ledger judges deliveries and bounces by the same rules.

    \b
    Examples:
      smtpctl ledger classify "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred"
      smtpctl ledger classify --provider google --status 4.7.28 "unusual rate from your IP Netblock"
    """
    from smtpctl.feedback.rules import advice
    from smtpctl.feedback.verdict import judge

    texts = sys.stdin.read().splitlines() if reply == ("-",) else [" ".join(reply)]
    verdicts = [(text, judge(status, text, provider.lower())) for text in texts]
    if as_json:
        answers = [
            {
                "reply": text,
                "category": str(verdict.category),
                "hardness": verdict.hardness,
                "action": str(verdict.action),
                "advice": advice()[verdict.action],
                "source": verdict.source,
                "date": verdict.date,
            }
            for text, verdict in verdicts
        ]
        print_json({"verdicts": answers})
        return
    for _, verdict in verdicts:
        click.echo(f"{verdict.hardness}: {verdict.category}; {verdict.action}: {advice()[verdict.action]}")
        if verdict.source:
            click.echo(f"  by {verdict.source} ({verdict.date})")
