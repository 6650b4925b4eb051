"""``smtpctl ledger parse``: what the parser makes of a log, without any database."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from pathlib import Path
from typing import BinaryIO, cast

import click

from smtpctl.cli.output import JSON_VERSION, print_foreign
from smtpctl.errors import SmtpctlError


@click.command()
@click.argument("file", metavar="FILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines: one document a line.")
@click.option("--unknown", "only_unknown", is_flag=True, help="Only lines that are not understood.")
def parse(file: Path, as_json: bool, only_unknown: bool) -> None:
    """Print what the parser makes of each line of FILE (- for standard input; .gz and .xz are unpacked).

    Needs no database. Lines that are not understood are events called `unknown`.

    \b
    Examples:
      smtpctl ledger parse --json /var/log/mail.log
      zstdcat old.log.zst | smtpctl ledger parse --json - | jq 'select(.event == "attempt").fields.reply'
      smtpctl ledger parse --unknown /var/log/mail.log.1.gz
    """
    from smtpctl.cli.parsing import documents_of, text_of_document

    try:
        with open_log(file) as lines:
            for document in documents_of(lines):
                if not only_unknown or document["event"] == "unknown":
                    line = {"version": JSON_VERSION, **document}
                    print_foreign(json.dumps(line) if as_json else text_of_document(document))
    except (gzip.BadGzipFile, lzma.LZMAError, EOFError) as error:
        raise SmtpctlError(
            f"{file}: {error}", hint="the file is not what its name says, or its end is missing"
        ) from error


def open_log(file: Path) -> BinaryIO:
    """A log as bytes, whatever it is packed in; ``-`` is standard input."""
    if str(file) == "-":
        return sys.stdin.buffer
    if file.suffix == ".gz":
        return cast("BinaryIO", gzip.open(file))
    return cast("BinaryIO", lzma.open(file)) if file.suffix == ".xz" else file.open("rb")
