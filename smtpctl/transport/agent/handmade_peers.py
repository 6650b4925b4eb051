"""What stands beside a Postfix that was set up by hand: who signs in, what signs, which certificates.

Names only: no password or hash of one, and no key is told. Of a private key the algorithm is, by its public half.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

_CERTIFICATES = ("smtpd_tls_cert_file", "smtpd_tls_chain_files", "smtpd_tls_ec*cert_file")
_OIDS = {b"\x2b\x65\x70": "ed25519", b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01": "rsa"}


def peers(instances: list[dict[str, Any]]) -> dict[str, Any]:
    """SASL users, DKIM keys and certificates."""
    return {
        "sasl": _sasl(instances),
        "dkim": _dkim(Path("/etc/opendkim.conf")),
        "certificates": _certificates(instances),
    }


def _sasl(instances: list[dict[str, Any]]) -> dict[str, Any]:
    """Who may sign in, and where that is kept."""
    kinds = {instance["parameters"].get("smtpd_sasl_type", "cyrus") for instance in instances if _signs_in(instance)}
    if "dovecot" in kinds:
        return {"kind": "dovecot", **_dovecot()}
    return {"kind": "cyrus", **_cyrus()} if kinds else {"kind": "", "place": "", "users": []}


def _signs_in(instance: dict[str, Any]) -> bool:
    said = [value for *_, name, value in instance["overrides"] if name == "smtpd_sasl_auth_enable"]
    return "yes" in (*said, instance["parameters"].get("smtpd_sasl_auth_enable", "no"))


def _dovecot() -> dict[str, Any]:
    text = _said(["doveconf", "-n"])
    found = re.search(r"passwd_file_path\s*=\s*(\S+)", text) or re.search(r"\bargs\s*=\s*(?:\S+=\S+\s+)*(/\S+)", text)
    place = found[1] if found else ""
    if not place or "%" in place:
        return {"place": place or "not a file", "users": []}
    return {"place": place, "users": _first_fields(Path(place))}


def _cyrus() -> dict[str, Any]:
    settings = _settings(Path("/etc/postfix/sasl/smtpd.conf"), ":")
    if settings.get("pwcheck_method", "auxprop") != "auxprop":
        return {"place": settings["pwcheck_method"], "users": []}
    place = settings.get("sasldb_path", "/etc/sasldb2")
    if not Path(place).exists():
        place = f"/var/spool/postfix{place}"
    rows = _said(["sasldblistusers2", "-f", place]).splitlines() if Path(place).exists() else []
    return {"place": place, "users": sorted(row.rpartition(":")[0] for row in rows if ":" in row)}


def _dkim(path: Path) -> dict[str, Any]:
    """Signing keys of OpenDKIM: domain, selector, file, algorithm. Ports of its milter."""
    settings = _settings(path, None)
    keys = []
    if "KeyTable" in settings:
        rows = _rows(settings["KeyTable"])
        keys = [[*value.split(":", 2)] for _, value in rows if value.count(":") >= 2]
    elif {"Domain", "Selector", "KeyFile"} <= settings.keys():
        keys = [[domain, settings["Selector"], settings["KeyFile"]] for domain in settings["Domain"].split(",")]
    return {
        "socket": settings.get("Socket", ""),
        "keys": [
            {"domain": domain.strip().lower(), "selector": selector, "file": file, "algorithm": _algorithm(file)}
            for domain, selector, file in keys
        ],
        "signing": [list(row) for row in _rows(settings.get("SigningTable", ""))],
    }


def _rows(table: str) -> list[tuple[str, str]]:
    from .handmade import rows_of

    path = Path(table.partition(":")[2] if table.startswith(("file:", "refile:")) else table)
    return list(rows_of(path.read_text(errors="replace"))) if table and path.is_file() else []


def _algorithm(file: str) -> str:
    """rsa, ed25519 or nothing, from the public half (RFC 8410, RFC 3279)."""
    try:
        done = subprocess.run(
            ["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"], capture_output=True, timeout=10
        )
    except FileNotFoundError:
        return ""
    return next((name for oid, name in _OIDS.items() if oid in done.stdout[:40]), "")


def _certificates(instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    files = sorted(
        {
            file
            for instance in instances
            for name, value in instance["parameters"].items()
            if any(re.fullmatch(pattern.replace("*", ".*"), name) for pattern in _CERTIFICATES)
            for file in re.split(r"[,\s]+", value)
            if file.startswith("/")
        }
    )
    return [{"file": file, **_certificate(file)} for file in files]


def _certificate(file: str) -> dict[str, Any]:
    text = _said(["openssl", "x509", "-in", file, "-noout", "-enddate", "-ext", "subjectAltName"])
    end = re.search(r"notAfter=(.+)", text)
    return {"names": re.findall(r"DNS:([^,\s]+)", text), "ends": end[1].strip() if end else ""}


def _settings(path: Path, sign: str | None) -> dict[str, str]:
    """``name value`` or ``name: value`` by line."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    pairs = (line.split(sign, 1) for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _first_fields(path: Path) -> list[str]:
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return [line.partition(":")[0].strip() for line in lines if ":" in line and not line.startswith("#")]


def _said(command: list[str]) -> str:
    """What a program says on standard output; nothing where it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30).stdout
    except FileNotFoundError:
        return ""
