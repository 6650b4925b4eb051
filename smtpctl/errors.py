"""The tree of errors and their exit codes.

::

    SmtpctlError                 1  something failed; the message says what, the hint says the remedy
    ├── UsageError               2  the command line asks for something that does not exist
    ├── InventoryError           1  the inventory has problems; carries all of them
    ├── SecretsError             1  a secret is missing, or its file cannot be opened
    ├── TemplateError            1  a template (ours or of an overlay) cannot be rendered
    ├── TransportError           1  a host cannot be reached, or the agent on it failed
    ├── HostError                1  a step on a host failed; carries host, step and the server's own words
    ├── PartlyAppliedError       4  some hosts are on the new revision, some are not
    ├── LedgerError              1  the ledger database cannot be reached or refuses
    └── LabError                 1  the lab cannot be built, booted or found

Exit codes of every command: 0 done or nothing to change, 1 failed, 2 usage, 3 changes pending (only under
``plan --exit-code``), 4 partly applied.
"""


class SmtpctlError(Exception):
    """Something failed. ``hint`` is the remedy in one sentence, or empty."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(SmtpctlError):
    """The command line names something that does not exist."""

    exit_code = 2


class InventoryError(SmtpctlError):
    """The inventory has problems."""


class SecretsError(SmtpctlError):
    """A secret is missing, or the file that holds it cannot be opened."""


class TemplateError(SmtpctlError):
    """A template cannot be rendered."""


class TransportError(SmtpctlError):
    """A host cannot be reached, or the agent on it failed."""


class HostError(SmtpctlError):
    """A step on a host failed. ``detail`` holds the server's own words."""

    def __init__(self, host: str, step: str, detail: str, *, hint: str = "") -> None:
        super().__init__(f"{host}: {step}: {detail}", hint=hint)
        self.host = host
        self.step = step
        self.detail = detail


class PartlyAppliedError(SmtpctlError):
    """Some hosts are on the new revision and some are not."""

    exit_code = 4


class LedgerError(SmtpctlError):
    """The ledger database cannot be reached or refuses."""


class LabError(SmtpctlError):
    """The lab cannot be built, booted or found."""
