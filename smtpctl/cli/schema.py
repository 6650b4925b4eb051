"""``smtpctl schema``: the form of an inventory, for editors, for readers, and as a sample to start from."""

from __future__ import annotations

import json

import click


@click.command()
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["json", "markdown", "sample"]),
    default="json",
    show_default=True,
    help="JSON schema, the reference page of the docs, or a commented inventory.",
)
def schema(output_format: str) -> None:
    """Print the form of an inventory: JSON schema, reference or sample.

    \b
    Examples:
      smtpctl schema > inventory.schema.json
      smtpctl schema --format sample > inventory.yml
    """
    if output_format == "json":
        from smtpctl.inventory.schema import json_schema

        click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    elif output_format == "markdown":
        from smtpctl.inventory.reference import reference_page

        click.echo(reference_page(), nl=False)
    else:
        from smtpctl.inventory.sample import sample_inventory

        click.echo(sample_inventory(), nl=False)
