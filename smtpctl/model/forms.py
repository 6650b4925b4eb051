"""Forms that a text of the inventory can have: names, domains, addresses, durations, and what goes into other servers'
files. Each is strict enough that no value can break out of the line that it is rendered into.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from smtpctl.model.frozen import Frozen

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 366 * 86400


class FormError(ValueError):
    """A value does not have its form: what is wrong with it, and what is right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}: write {right}")
        self.wrong = wrong
        self.right = right


class Form(Frozen):
    """Text that ``pattern`` matches as a whole; what such a text is called, and how it looks."""

    pattern: str
    noun: str
    right: str

    def check(self, value: str) -> str:
        """``value``, when it has this form. Raise FormError otherwise."""
        if not re.fullmatch(self.pattern, value):
            raise FormError(f"{value!r} is not {self.noun}", self.right)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return _after(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Checked(Frozen):
    """Text that a function checks, and may bring into its usual form."""

    check: Callable[[str], str]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return _after(self.check, handler(source))


class Written(Frozen):
    """A value that is written in another form, which a function reads; ``schema`` is that form's JSON schema."""

    read: Callable[[object], object]
    schema: tuple[tuple[str, Any], ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {"type": "function-before", "function": _plain(self.read), "schema": handler(source)}

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return dict(self.schema)


class Lenient:
    """A value that comes as text and becomes another type: the strictness of its part does not hold for it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = handler(source)
        handler.resolve_ref_schema(schema)["strict"] = False
        return schema


def _after(check: Callable[[str], str], schema: Any) -> Any:
    """The core schema (pydantic_core.core_schema) of what ``schema`` takes and ``check`` lets pass."""
    return {"type": "function-after", "function": _plain(check), "schema": schema}


def _plain(function: Callable[..., object]) -> dict[str, object]:
    return {"type": "no-info", "function": function}


def _address(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise FormError(f"{value!r} is not an IP address", "one such as 192.0.2.11 or 2001:db8::11") from None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise FormError(f"{value!r} is not a plain IPv6 address", "it without %interface, with no IPv4 address inside")
    return str(address)


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value, strict=False)
        first = ipaddress.ip_address(value.partition("/")[0])
    except ValueError:
        raise FormError(f"{value!r} is not a network", "ADDRESS/BITS, such as 192.0.2.0/24") from None
    if first != network.network_address:
        whole = f"{first}/{network.max_prefixlen}"
        raise FormError(f"{value!r} names an address inside a network", f"{network}, or {whole} for the address")
    return str(network)


def _interface_address(value: str) -> str:
    try:
        if "/" in value:
            return str(ipaddress.ip_interface(value))
    except ValueError as error:
        raise FormError(f"{value!r} is not an address with its prefix length", _ADDRESS_AND_BITS) from error
    raise FormError(f"{value!r} has no prefix length", _ADDRESS_AND_BITS)


_ADDRESS_AND_BITS = "ADDRESS/BITS, such as 192.0.2.10/24"


def _date(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise FormError(f"{value!r} is not a date", "year, month and day, such as 2026-11-30") from None


def _seconds(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise FormError(f"{value!r} is not a duration", "a number and s, m, h or d, such as 30s or 5d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if not 1 <= seconds <= _LONGEST:
        raise FormError(f"{value!r} is too short or too long", f"one between 1s and {_LONGEST // 86400}d")
    return seconds


def _parameter_value(value: object) -> object:
    """Text of a main.cf parameter. A whole number is taken as its digits; a line break would start a parameter of
    its own, past every check of names."""
    if isinstance(value, bool):
        wrong = f"{str(value).lower()} is not a value that Postfix knows"
        raise FormError(wrong, "yes" if value else "no")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and not value.isprintable():
        raise FormError(f"{value!r} holds a line break or control character", "the value on one line")
    return value


Name = Annotated[str, Form(r"[a-z][a-z0-9-]{0,31}", "a name", "a lower-case letter, then up to 31 of a-z, 0-9 and '-'")]
Domain = Annotated[
    str,
    Form(
        rf"(?=.{{1,253}}$)(?:{_LABEL}\.)+{_LABEL}",
        "a domain name in lower case",
        "labels of a-z, 0-9 and '-' with dots between, such as mail.example.com (RFC 1035 §2.3.1)",
    ),
]
LocalPart = Annotated[
    str,
    Form(
        r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?",
        "a local part in lower case",
        "the part of an address before its '@', such as postmaster",
    ),
]
AbsolutePath = Annotated[
    str,
    Form(
        r"(/[A-Za-z0-9._@+-]+)+",
        "an absolute path",
        "letters, digits and . _ @ + - between slashes, such as /etc/key.pem",
    ),
]
File = Annotated[
    str,
    Form(
        r"[A-Za-z0-9~./][A-Za-z0-9._@+/ -]{0,199}",
        "a file name",
        "up to 200 letters, digits, spaces and . _ @ + - /",
    ),
]
Interface = Annotated[
    str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", "the name of a network interface", "one such as eth0 or ens3")
]
Login = Annotated[str, Form(r"[a-z_][a-z0-9_-]{0,31}", "a login name", "one such as root or deploy")]
#: A sender of a credential: a domain and all under it, ``@DOMAIN`` alone, or an address.
Sender = Annotated[
    str,
    Form(
        rf"(?:(?:[a-z0-9#$&'*+/=?^_`{{|}}~.-]{{1,64}})?@)?(?=.{{1,253}}$)(?:{_LABEL}\.)+{_LABEL}",
        "a domain or an address in lower case",
        "shop.example.com (with all under it), @shop.example.com (alone) or billing@shop.example.com",
    ),
]
_PART = "(credential|sender|domain|client|stream|provider)"
LimitKey = Annotated[
    str,
    Form(
        rf"{_PART}(\+{_PART})*",
        "what a limit is counted by",
        "credential, sender, domain, client, stream or provider, or several joined by '+', such as credential+provider",
    ),
]
TimeOfDay = Annotated[
    str, Form(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", "a time of day", "hours and minutes, such as 08:30, up to 24:00")
]
Header = Annotated[
    str,
    Form(
        r"[A-Za-z][A-Za-z0-9-]{0,60}: [!-~]+( [!-~]+)*",
        "a header field",
        "its name, a colon, a space and printable ASCII, such as 'X-Stream: receipts'",
    ),
]
Date = Annotated[str, Checked(_date)]
Address = Annotated[str, Checked(_address)]
Network = Annotated[str, Checked(_network)]
InterfaceAddress = Annotated[str, Checked(_interface_address)]
#: Whole seconds; written ``30s``, ``10m``, ``1h`` or ``5d``.
Duration = Annotated[int, Written(_seconds, (("type", "string"), ("pattern", r"^\d+[smhd]$")))]
#: main.cf parameters (postconf(5)): name -> value.
Parameters = dict[
    Annotated[str, Form(r"[A-Za-z0-9_]+", "a parameter name", "letters, digits and _ (postconf(5))")],
    Annotated[str, Written(_parameter_value, (("type", ("string", "integer")),))],
]
