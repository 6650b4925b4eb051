"""The fleet: everything that one inventory describes, as frozen typed values.

One definition serves validation, the JSON schema, the reference page of the docs and the rest of the code. What a
single value can say about itself (type, form, range) is checked here; what needs the whole fleet (references, clashes)
is checked in ``smtpctl.inventory``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from smtpctl.model.forms import (
    AbsolutePath,
    Address,
    Domain,
    Duration,
    File,
    Header,
    Interface,
    InterfaceAddress,
    LocalPart,
    Login,
    Name,
    Network,
    Parameters,
    Sender,
)
from smtpctl.model.policy import LARGEST_MESSAGE, Hours, InvalidRecipients, Limit, Ramp, RuleSetting
from smtpctl.model.value import Value

INVENTORY_VERSION = 1

#: Names that smtpctl uses for its own Postfix instances; a pool may not take them.
RESERVED_INSTANCES = ("submission", "feedback", "mailbox", "healthcheck")


class Role(StrEnum):
    """A job that a host has."""

    BALANCER = "balancer"
    SUBMISSION = "submission"
    RELAY = "relay"
    FEEDBACK = "feedback"
    MAILBOX = "mailbox"
    CONTROL = "control"


class Ssh(Value):
    """How the controller reaches the hosts. Host keys come from ``known_hosts`` only; unknown ones are refused."""

    user: Login = Field("root", description="Login name on the hosts.", examples=["root", "deploy"])
    port: int = Field(22, ge=1, le=65535, description="TCP port of sshd.")
    identity: File | None = Field(
        None,
        description="Private key file; default: the keys of ~/.ssh and the agent.",
        examples=["~/.ssh/fleet"],
    )
    known_hosts: File | None = Field(
        None,
        description="known_hosts file, relative to the inventory; default: ~/.ssh/known_hosts.",
        examples=["reference.known_hosts"],
    )
    via: Literal["direct", "lab"] = Field(
        "direct", description="`lab`: through the lab on this machine, with the lab's own keys."
    )


class NetworkPlan(Value):
    """What the firewall and the addresses of the hosts are made from."""

    management: list[Network] = Field(
        description="Networks that may reach SSH, metrics, statistics, IMAP and the ledger.",
        min_length=1,
        examples=[["192.0.2.0/28"]],
    )
    interface: Interface = Field("eth0", description="Interface that carries the hosts' addresses.", examples=["eth0"])
    prefix: int = Field(24, ge=8, le=128, description="Prefix length of the hosts' network.", examples=[24])
    resolver: Literal["local", "system"] = Field(
        "local",
        description="`local`: a validating unbound on every host; `system`: leave /etc/resolv.conf alone.",
    )
    trust_anchor_file: AbsolutePath = Field(
        "/usr/share/dns/root.key",
        description="File on the hosts with the resolver's DNSSEC trust anchor.",
        examples=["/usr/share/dns/root.key"],
    )
    root_hints: list[Address] = Field(
        default_factory=list, description="Root name servers in place of the world's; for the lab."
    )


class Dkim(Value):
    """Selectors of a sending domain's two keys (RFC 6376, RFC 8463)."""

    rsa: Name = Field("r1", description="Selector of the RSA-2048 key.")
    ed25519: Name = Field("e1", description="Selector of the Ed25519 key.")


class SendingDomain(Value):
    """A domain that stands in `From` addresses."""

    bounce: Domain = Field(
        description="Domain of the envelope sender on the way out; its MX is the feedback role.",
        examples=["bounce.shop.example.com"],
    )
    dkim: Dkim = Field(default_factory=lambda: Dkim(rsa="r1", ed25519="e1"), description="DKIM selectors.")
    dmarc: Literal["none", "quarantine", "reject"] = Field("reject", description="Published DMARC policy.")


class Domains(Value):
    """The domains of the fleet."""

    infrastructure: Domain = Field(
        description="Hosts, HELO names and service names live under it.", examples=["mail.example.com"]
    )
    sending: dict[Domain, SendingDomain] = Field(description="Domains mail is sent from.", min_length=1)
    feedback: Domain = Field(
        description="Domain of the addresses that receive feedback-loop, DMARC and TLS reports.",
        examples=["feedback.mail.example.com"],
    )


class Source(Value):
    """An address that a relay sends from."""

    address: Address = Field(description="Source address, on this host only.")
    helo: Domain = Field(description="Name said in EHLO; its A record and PTR are this address.")
    pool: Name = Field(description="The pool that uses it.")
    weight: int = Field(1, ge=1, le=1000, description="Share of the pool's mail, relative to its other addresses.")


class Host(Value):
    """A machine with its roles."""

    address: Address = Field(description="Its own address, unique in the fleet.")
    # YAML knows no enumerations: a role comes as text, and becomes a Role here in spite of `strict`.
    roles: list[Annotated[Role, Field(strict=False)]] = Field(description="Jobs of this host, any set.", min_length=1)
    interface: Interface | None = Field(None, description="Overrides `network.interface`.", examples=["ens3"])
    sources: list[Source] = Field(default_factory=list, description="Source addresses (relay role).")
    parameters: dict[Name, Parameters] = Field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters by Postfix instance, on this host only.",
        examples=[{"submission": {"smtpd_client_connection_count_limit": 20}}],
    )


class Balancing(Value):
    """The one name and address that applications submit to."""

    name: Domain = Field(description="Name in the submission certificate.", examples=["smtp.mail.example.com"])
    virtual_address: InterfaceAddress | None = Field(
        None,
        description="Address that the balancers hold one at a time (VRRP); none with a single balancer.",
        examples=["192.0.2.10/24"],
    )
    router_id: int = Field(51, ge=1, le=255, description="VRRP virtual router id.")


class Stream(Value):
    """A kind of mail with its own reputation."""

    pool: Name = Field(description="The pool that carries it.")
    message_size: int | None = Field(
        None,
        ge=1024,
        le=LARGEST_MESSAGE,
        description="Bytes of its largest message; default: what submission takes in, 25 MiB.",
        examples=[1048576],
    )
    header: Header | None = Field(
        None, description="Header field that each of its messages gets.", examples=["X-Stream: receipts"]
    )


class Pool(Value):
    """A Postfix instance on every relay that has a source address for it."""

    port: int = Field(ge=1024, le=65535, description="Port the instance accepts mail on, unique among pools.")
    queue_lifetime: Duration = Field(
        5 * 86400, description="How long a message is tried before it is returned.", examples=["5d"]
    )
    parameters: Parameters = Field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters.",
        examples=[{"minimal_backoff_time": "10m"}],
    )


class Provider(Value):
    """A mailbox provider and the limits that it is sent to under."""

    domains: list[Domain] = Field(
        default_factory=list, description="Recipient domains.", examples=[["gmail.com", "googlemail.com"]]
    )
    mx: list[Domain] = Field(
        default_factory=list,
        description="Domains of MX hosts by which company domains hosted there are known.",
        examples=[["google.com"]],
    )
    connections: int = Field(20, ge=1, le=500, description="Connections at once from one source address.")
    recipients_per_message: int = Field(50, ge=1, le=1000, description="Recipients in one transaction.")
    delay: int = Field(0, ge=0, le=3600, description="Whole seconds between two deliveries; 0 for none.")
    tls: Literal["may", "dane", "encrypt"] = Field("dane", description="smtp_tls_security_level towards it.")


class Credential(Value):
    """What an application signs in with. Its secret stands in the secrets file under `credentials/NAME`."""

    senders: list[Sender] = Field(
        description="Senders that it may use, in the envelope and in `From`: a domain with all under it, "
        "`@` and a domain for that alone, or an address.",
        min_length=1,
        examples=[["shop.example.com", "billing@news.example.com"]],
    )
    null_sender: bool = Field(False, description="Whether it may use the null sender, which is for bounces.")
    stream: Name = Field(description="The stream its mail belongs to.")
    recipients_per_message: int = Field(100, ge=1, le=10000, description="Most recipients of one message.")
    limits: list[Limit] | None = Field(None, description="In place of `limits` of the fleet.", examples=[[]])
    clients: list[Network] = Field(
        default_factory=list,
        description="Networks that it is used from; none: from anywhere.",
        examples=[["198.51.100.0/28"]],
    )
    hours: list[Hours] = Field(
        default_factory=list,
        description="Hours in which it sends; none: at any.",
        examples=[[{"days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}]],
    )
    ramp: Ramp | None = Field(
        None,
        description="Its first days, where it is new.",
        examples=[{"since": "2026-11-30", "first": 200, "days": 10}],
    )


class Tls(Value):
    """Where certificates come from."""

    authority: Literal["internal"] = Field(
        "internal", description="`internal`: the fleet's own authority, kept in the secrets file."
    )
    minimum: Literal["TLSv1.2", "TLSv1.3"] = Field("TLSv1.2", description="Oldest protocol on submission.")


class Retention(Value):
    """How long what is kept."""

    ledger: Duration = Field(
        90 * 86400, description="Messages, deliveries and events of the ledger, and addresses.", examples=["90d"]
    )
    reports: Duration = Field(180 * 86400, description="Bounces and complaints that came by mail.", examples=["180d"])
    samples: Duration = Field(
        30 * 86400, description="Samples of unknown log lines, and mails that are no reports.", examples=["30d"]
    )
    logs: Duration = Field(14 * 86400, description="Mail logs on the hosts.", examples=["14d"])
    revisions: int = Field(10, ge=2, le=100, description="Revisions kept on a host.")


class Mailbox(Value):
    """A mailbox of the mailbox role; its secret stands under `mailboxes/NAME`."""

    addresses: list[LocalPart] = Field(
        default_factory=list,
        description="Local parts delivered there, at every domain of the fleet.",
        examples=[["postmaster", "abuse"]],
    )


class Fleet(Value):
    """Everything that one inventory describes."""

    version: Literal[1] = Field(
        description="Version of the inventory's form. Another is for another smtpctl: upgrade it."
    )
    fleet: Name = Field(description="Name of the fleet.", examples=["reference"])
    ssh: Ssh = Field(default_factory=lambda: Ssh.model_validate({}), description="How the hosts are reached.")
    network: NetworkPlan = Field(description="Networks and addresses.")
    domains: Domains = Field(description="Domains of the fleet.")
    hosts: dict[Name, Host] = Field(description="The machines.", min_length=1)
    balancing: Balancing = Field(description="Where applications submit to.")
    streams: dict[Name, Stream] = Field(description="Kinds of mail.", min_length=1)
    pools: dict[Name, Pool] = Field(description="Outgoing sides.", min_length=1)
    providers: dict[Name, Provider] = Field(
        default_factory=dict, description="Mailbox providers; `default` holds the limits for all others."
    )
    credentials: dict[Name, Credential] = Field(default_factory=dict, description="Who may submit.")
    limits: list[Limit] = Field(
        default_factory=list, description="Limits of every credential that has none of its own."
    )
    rules: dict[Name, RuleSetting] = Field(
        default_factory=dict,
        description="How rules of the policy service are set, by name.",
        examples=[{"client": {"mode": "shadow"}}],
    )
    invalid_recipients: InvalidRecipients | None = Field(
        None, description="When a credential is held, as a stolen one.", examples=[{"in_a_row": 20, "hold": "1d"}]
    )
    mailboxes: dict[Name, Mailbox] = Field(default_factory=dict, description="Mailboxes of the fleet's own people.")
    tls: Tls = Field(default_factory=lambda: Tls.model_validate({}), description="Certificates.")
    retention: Retention = Field(
        default_factory=lambda: Retention.model_validate({}), description="How long what is kept."
    )
    privacy: Literal["on", "off"] = Field(
        "on",
        description="Whether addresses in the ledger are sealed: hosts write them, and who has the secrets reads them."
        " Choose before the first apply.",
    )
    parameters: dict[Name, Parameters] = Field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters by Postfix instance, on every host.",
        examples=[{"submission": {"message_size_limit": 26214400}}],
    )
    templates: File | None = Field(
        None,
        description="Overlay folder, relative to the inventory; a file there replaces the built-in of that path.",
        examples=["overlay"],
    )

    def hosts_with(self, role: Role) -> Mapping[str, Host]:
        """Hosts that have ``role``, by name, in the inventory's order."""
        return {name: host for name, host in self.hosts.items() if role in host.roles}

    def host_name(self, host: str) -> str:
        """Fully qualified name of a host."""
        return f"{host}.{self.domains.infrastructure}"

    def interface_of(self, host: str) -> str:
        """Network interface that carries the addresses of ``host``."""
        return self.hosts[host].interface or self.network.interface

    def limits_of(self, credential: str) -> tuple[Limit, ...]:
        """Limits in force for a credential: its own, else the fleet's."""
        own = self.credentials[credential].limits
        return tuple(self.limits if own is None else own)

    def pools_of(self, host: str) -> tuple[str, ...]:
        """Pools that ``host`` has a source address for, in the inventory's order."""
        used = {source.pool for source in self.hosts[host].sources}
        return tuple(pool for pool in self.pools if pool in used)

    def sources_of(self, pool: str) -> Iterator[tuple[str, Source]]:
        """(host, source) for every source address of ``pool``, in the inventory's order."""
        for name, host in self.hosts.items():
            for source in host.sources:
                if source.pool == pool:
                    yield name, source

    def relays_of(self, pool: str) -> tuple[str, ...]:
        """Relay hosts that carry ``pool``, in the inventory's order."""
        return tuple(dict.fromkeys(host for host, _ in self.sources_of(pool)))

    def all_providers(self) -> dict[str, Provider]:
        """Providers by name, with ``default`` (limits for everyone else) always among them."""
        return {"default": Provider.model_validate({"connections": 5})} | self.providers

    def received_domains(self) -> tuple[str, ...]:
        """Domains whose MX is the feedback role: infrastructure, sending, bounce and feedback ones."""
        domains = [self.domains.infrastructure, self.domains.feedback]
        for name, domain in self.domains.sending.items():
            domains += [name, domain.bounce]
        return tuple(dict.fromkeys(domains))
