"""The fleet: everything that one inventory describes, as frozen typed values.

One definition serves validation, the JSON schema, the reference page of the docs and the rest of the code. What a
single value can say about itself (type, form, range) is checked here; what needs the whole fleet (references, clashes)
is checked in ``smtpctl.inventory``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from smtpctl.model.forms import (
    AbsolutePath,
    Address,
    Domain,
    Duration,
    File,
    Header,
    Interface,
    InterfaceAddress,
    Lenient,
    LocalPart,
    Login,
    Name,
    Network,
    Parameters,
    Sender,
)
from smtpctl.model.policy import LARGEST_MESSAGE, Hours, InvalidRecipients, Limit, Ramp, RuleSetting
from smtpctl.model.value import Value, field

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

    user: Login = field(default="root", description="Login name on the hosts.", examples=["root", "deploy"])
    port: int = field(default=22, ge=1, le=65535, description="TCP port of sshd.")
    identity: File | None = field(
        default=None,
        description="Private key file; default: the keys of ~/.ssh and the agent.",
        examples=["~/.ssh/fleet"],
    )
    known_hosts: File | None = field(
        default=None,
        description="known_hosts file, relative to the inventory; default: ~/.ssh/known_hosts.",
        examples=["reference.known_hosts"],
    )
    via: Literal["direct", "lab"] = field(
        default="direct", description="`lab`: through the lab on this machine, with the lab's own keys."
    )


class NetworkPlan(Value):
    """What the firewall and the addresses of the hosts are made from."""

    management: list[Network] = field(
        description="Networks that may reach SSH, metrics, statistics, IMAP and the ledger.",
        min_length=1,
        examples=[["192.0.2.0/28"]],
    )
    interface: Interface = field(
        default="eth0", description="Interface that carries the hosts' addresses.", examples=["eth0"]
    )
    prefix: int = field(default=24, ge=8, le=128, description="Prefix length of the hosts' network.", examples=[24])
    resolver: Literal["local", "system"] = field(
        default="local",
        description="`local`: a validating unbound on every host; `system`: leave /etc/resolv.conf alone.",
    )
    trust_anchor_file: AbsolutePath = field(
        default="/usr/share/dns/root.key",
        description="File on the hosts with the resolver's DNSSEC trust anchor.",
        examples=["/usr/share/dns/root.key"],
    )
    root_hints: list[Address] = field(
        default_factory=list, description="Root name servers in place of the world's; for the lab."
    )


class Dkim(Value):
    """Selectors of a sending domain's two keys (RFC 6376, RFC 8463)."""

    rsa: Name = field(default="r1", description="Selector of the RSA-2048 key.")
    ed25519: Name = field(default="e1", description="Selector of the Ed25519 key.")


class SendingDomain(Value):
    """A domain that stands in `From` addresses."""

    bounce: Domain = field(
        description="Domain of the envelope sender on the way out; its MX is the feedback role.",
        examples=["bounce.shop.example.com"],
    )
    dkim: Dkim = field(default_factory=Dkim, description="DKIM selectors.")
    dmarc: Literal["none", "quarantine", "reject"] = field(default="reject", description="Published DMARC policy.")


class Domains(Value):
    """The domains of the fleet."""

    infrastructure: Domain = field(
        description="Hosts, HELO names and service names live under it.", examples=["mail.example.com"]
    )
    sending: dict[Domain, SendingDomain] = field(description="Domains mail is sent from.", min_length=1)
    feedback: Domain = field(
        description="Domain of the addresses that receive feedback-loop, DMARC and TLS reports.",
        examples=["feedback.mail.example.com"],
    )


class Source(Value):
    """An address that a relay sends from."""

    address: Address = field(description="Source address, on this host only.")
    helo: Domain = field(description="Name said in EHLO; its A record and PTR are this address.")
    pool: Name = field(description="The pool that uses it.")
    weight: int = field(
        default=1, ge=1, le=1000, description="Share of the pool's mail, relative to its other addresses."
    )


class Host(Value):
    """A machine with its roles."""

    address: Address = field(description="Its own address, unique in the fleet.")
    # YAML knows no enumerations: a role comes as text, and becomes a Role here in spite of `strict`.
    roles: list[Annotated[Role, Lenient()]] = field(description="Jobs of this host, any set.", min_length=1)
    interface: Interface | None = field(default=None, description="Overrides `network.interface`.", examples=["ens3"])
    sources: list[Source] = field(default_factory=list, description="Source addresses (relay role).")
    parameters: dict[Name, Parameters] = field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters by Postfix instance, on this host only.",
        examples=[{"submission": {"smtpd_client_connection_count_limit": 20}}],
    )


class Balancing(Value):
    """The one name and address that applications submit to."""

    name: Domain = field(description="Name in the submission certificate.", examples=["smtp.mail.example.com"])
    virtual_address: InterfaceAddress | None = field(
        default=None,
        description="Address that the balancers hold one at a time (VRRP); none with a single balancer.",
        examples=["192.0.2.10/24"],
    )
    router_id: int = field(default=51, ge=1, le=255, description="VRRP virtual router id.")


class Stream(Value):
    """A kind of mail with its own reputation."""

    pool: Name = field(description="The pool that carries it.")
    message_size: int | None = field(
        default=None,
        ge=1024,
        le=LARGEST_MESSAGE,
        description="Bytes of its largest message; default: what submission takes in, 25 MiB.",
        examples=[1048576],
    )
    header: Header | None = field(
        default=None, description="Header field that each of its messages gets.", examples=["X-Stream: receipts"]
    )


class Pool(Value):
    """A Postfix instance on every relay that has a source address for it."""

    port: int = field(ge=1024, le=65535, description="Port the instance accepts mail on, unique among pools.")
    queue_lifetime: Duration = field(
        default=5 * 86400, description="How long a message is tried before it is returned.", examples=["5d"]
    )
    parameters: Parameters = field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters.",
        examples=[{"minimal_backoff_time": "10m"}],
    )


class Provider(Value):
    """A mailbox provider and the limits that it is sent to under."""

    domains: list[Domain] = field(
        default_factory=list, description="Recipient domains.", examples=[["gmail.com", "googlemail.com"]]
    )
    mx: list[Domain] = field(
        default_factory=list,
        description="Domains of MX hosts by which company domains hosted there are known.",
        examples=[["google.com"]],
    )
    connections: int = field(default=20, ge=1, le=500, description="Connections at once from one source address.")
    recipients_per_message: int = field(default=50, ge=1, le=1000, description="Recipients in one transaction.")
    delay: int = field(default=0, ge=0, le=3600, description="Whole seconds between two deliveries; 0 for none.")
    tls: Literal["may", "dane", "encrypt"] = field(default="dane", description="smtp_tls_security_level towards it.")


class Credential(Value):
    """What an application signs in with. Its secret stands in the secrets file under `credentials/NAME`."""

    senders: list[Sender] = field(
        description="Senders that it may use, in the envelope and in `From`: a domain with all under it, "
        "`@` and a domain for that alone, or an address.",
        min_length=1,
        examples=[["shop.example.com", "billing@news.example.com"]],
    )
    null_sender: bool = field(default=False, description="Whether it may use the null sender, which is for bounces.")
    stream: Name = field(description="The stream its mail belongs to.")
    recipients_per_message: int = field(default=100, ge=1, le=10000, description="Most recipients of one message.")
    limits: list[Limit] | None = field(default=None, description="In place of `limits` of the fleet.", examples=[[]])
    clients: list[Network] = field(
        default_factory=list,
        description="Networks that it is used from; none: from anywhere.",
        examples=[["198.51.100.0/28"]],
    )
    hours: list[Hours] = field(
        default_factory=list,
        description="Hours in which it sends; none: at any.",
        examples=[[{"days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}]],
    )
    ramp: Ramp | None = field(
        default=None,
        description="Its first days, where it is new.",
        examples=[{"since": "2026-11-30", "first": 200, "days": 10}],
    )


class Tls(Value):
    """Where certificates come from."""

    authority: Literal["internal"] = field(
        default="internal", description="`internal`: the fleet's own authority, kept in the secrets file."
    )
    minimum: Literal["TLSv1.2", "TLSv1.3"] = field(default="TLSv1.2", description="Oldest protocol on submission.")


class Retention(Value):
    """How long what is kept."""

    ledger: Duration = field(
        default=90 * 86400,
        description="Messages, deliveries and events of the ledger, and addresses.",
        examples=["90d"],
    )
    reports: Duration = field(
        default=180 * 86400, description="Bounces and complaints that came by mail.", examples=["180d"]
    )
    samples: Duration = field(
        default=30 * 86400, description="Samples of unknown log lines, and mails that are no reports.", examples=["30d"]
    )
    logs: Duration = field(default=14 * 86400, description="Mail logs on the hosts.", examples=["14d"])
    revisions: int = field(default=10, ge=2, le=100, description="Revisions kept on a host.")


class Mailbox(Value):
    """A mailbox of the mailbox role; its secret stands under `mailboxes/NAME`."""

    addresses: list[LocalPart] = field(
        default_factory=list,
        description="Local parts delivered there, at every domain of the fleet.",
        examples=[["postmaster", "abuse"]],
    )


class Fleet(Value):
    """Everything that one inventory describes."""

    version: Literal[1] = field(
        description="Version of the inventory's form. Another is for another smtpctl: upgrade it."
    )
    fleet: Name = field(description="Name of the fleet.", examples=["reference"])
    ssh: Ssh = field(default_factory=Ssh, description="How the hosts are reached.")
    network: NetworkPlan = field(description="Networks and addresses.")
    domains: Domains = field(description="Domains of the fleet.")
    hosts: dict[Name, Host] = field(description="The machines.", min_length=1)
    balancing: Balancing = field(description="Where applications submit to.")
    streams: dict[Name, Stream] = field(description="Kinds of mail.", min_length=1)
    pools: dict[Name, Pool] = field(description="Outgoing sides.", min_length=1)
    providers: dict[Name, Provider] = field(
        default_factory=dict, description="Mailbox providers; `default` holds the limits for all others."
    )
    credentials: dict[Name, Credential] = field(default_factory=dict, description="Who may submit.")
    limits: list[Limit] = field(
        default_factory=list, description="Limits of every credential that has none of its own."
    )
    rules: dict[Name, RuleSetting] = field(
        default_factory=dict,
        description="How rules of the policy service are set, by name.",
        examples=[{"client": {"mode": "shadow"}}],
    )
    invalid_recipients: InvalidRecipients | None = field(
        default=None,
        description="When a credential is held, as a stolen one.",
        examples=[{"in_a_row": 20, "hold": "1d"}],
    )
    mailboxes: dict[Name, Mailbox] = field(default_factory=dict, description="Mailboxes of the fleet's own people.")
    tls: Tls = field(default_factory=Tls, description="Certificates.")
    retention: Retention = field(default_factory=Retention, description="How long what is kept.")
    privacy: Literal["on", "off"] = field(
        default="on",
        description="Whether addresses in the ledger are sealed: hosts write them, and who has the secrets reads them."
        " Choose before the first apply.",
    )
    parameters: dict[Name, Parameters] = field(
        default_factory=dict,
        description="Escape hatch: extra main.cf parameters by Postfix instance, on every host.",
        examples=[{"submission": {"message_size_limit": 26214400}}],
    )
    templates: File | None = field(
        default=None,
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
        return {"default": Provider(connections=5)} | self.providers

    def received_domains(self) -> tuple[str, ...]:
        """Domains whose MX is the feedback role: infrastructure, sending, bounce and feedback ones."""
        domains = [self.domains.infrastructure, self.domains.feedback]
        for name, domain in self.domains.sending.items():
            domains += [name, domain.bounce]
        return tuple(dict.fromkeys(domains))
