"""What servers write when they refuse mail, and what they mean by it: one ordered table of phrases.

A phrase stands here because a provider documents it or an MTA's source writes it. The order carries meaning: what
is about us (block lists, rates, authentication, content) stands before what is about the recipient, so that a reply
which mentions both never costs anyone an address.
"""

from __future__ import annotations

import re

from smtpctl.feedback.categories import Category


def _rule(category: Category, *patterns: str) -> tuple[Category, re.Pattern[str]]:
    return category, re.compile("|".join(patterns))


#: (category, pattern), first match wins. Patterns meet lower case, with mail addresses taken out.
PHRASES = (
    # Asking to come back: before anything else, because the words around it name lists and policies.
    _rule(Category.GREYLISTING, r"gr[ae]y[ -]?list", r"postgrey"),
    # Who we claim to be: SPF, DKIM, DMARC, reverse DNS. Ours to repair.
    _rule(
        Category.AUTHENTICATION,
        r"\b(spf|dkim|dmarc)\b(?!.{0,30}helo)",
        r"sender policy framework",
        r"[45]\.7\.(2[0-7]|29|3[0-2]|40|5(09|15))\b",
        r"\b(ptr|rdns)\b",
        r"reverse[ -]?(dns|lookup|resol|mapping)",
        r"unauthenticated (e?mail|sender)",
        r"sender is unauthenticated",
        r"ip name lookup failed",
        r"(tlsa|dnssec)-invalid|certificate-host-mismatch",
        r"unverifyable sending ip|mismatches client ip",
    ),
    # The provider measures us, per address, domain or time. Yahoo [TSnn], Microsoft 4.7.65x, Orange and La Poste codes.
    _rule(
        Category.RATE,
        r"\[tss?\d\d\]",
        r"4\.7\.65[0-2]",
        r"ofr_?(004_104|999)",
        r"too many (messages(?! on the server)|connections|emails|mails|recipients|concurrent)",
        r"trop de (connexions|messages)",
        r"rate limit|(volume|frequency|sessions|thread|messages?) (limit|received|deferred)",
        r"rate of mail",
        r"throttl",
        r"receiving mail (at a rate|too quickly)",
        r"(exceed|over)\w* .{0,40}(rate|hourly|daily|connection) ",
        r"(connection|message|rate|hourly|sending) (limit|quota)s? (was |is |has been )?(exceeded|reached)",
        r"due to (unexpected|excessive) volume|try again slower|per hour message receive limit|relay limit exceeded",
    ),
    _rule(Category.CONTENT, r"\b(virus|malware|infected|trojan|phish\w*)\b(?!.{0,40}spam list)"),
    # What others say about our addresses and domains.
    _rule(
        Category.REPUTATION,
        r"\b(dns)?[brx]bl\b|dnsbl|surbl|uribl",
        r"spamhaus|spamcop|sorbs|barracuda(central)?|cloudmark|senderscore|uceprotect|spamrl|proofpoint\.com/",
        r"block(ed|ing)? (list|using|by)|blocklist|black ?list|deny ?list",
        r"reputation",
        r"banned send|(client|host|ip|server|sender|connection)[\w\s\[\]().:'-]{0,60}\b"
        r"(is |are |was |been |temporarily )*(blocked|banned|blacklisted|refused)\b",
        r"(blocked|rejected|refused)[\w\s]{0,30}\b(your|bad|sending|source)? ?(ip|network|host)\b",
        r"\b(s3150|s3140|4\.7\.28|ib1\d\d|\[bl\d\d\]|tosa@)\b",
        r"unusual rate of unsolicited",
        r"part of their network",
    ),
    _rule(
        Category.SPAM,
        r"\bspam\b(?!.{0,20}(trap|list of))|\bube\b|\buce\b|spamassassin|antispam",
        r"unsolicited",
        r"junk ?mail",
        r"(message|mail) content|content (rejected|filter|was)|\bofr_?506\b",
        r"(blocked|rejected) (by|because of) .{0,30}content",
        r"scor(e|ing) .{0,20}(too high|exceed)",
    ),
    # The mailbox is there.
    _rule(
        Category.FULL,
        r"quota|mailbox size|messages on the server",
        r"(mail)?box .{0,20}full|full (mail)?box",
        r"over ?quota|over (the )?(maximum|allowed|storage)",
        r"(not enough|insufficient|out of|no) (disk |storage |mailbox )?(space|storage)",
        r"storage (limit|exceeded)|disk (is )?full|exceeded (its |the )?(storage|disk|allocation|space)",
    ),
    _rule(
        Category.SIZE,
        r"(message|mail|e-?mail|data|size)\W.{0,40}"
        r"(too (large|big|long)|exceed\w*( .{0,30})? (size|limit|length|maximum))",
        r"(size|length|line)s? (limit )?exceed",
        r"exceed\w*.{0,40}(size limit|message size|maximum size|length)",
        r"too (large|big) for",
        r"size limit",
    ),
    _rule(
        Category.INACTIVE,
        r"(mailbox|account|user|recipient|address)\b.{0,60}\b(disabled|suspend\w*|inactive|deactivated|locked|frozen|"
        r"not active|expired|discontinued|closed|terminated|blocked)",
        r"(disabled|suspended|inactive|deactivated|locked|discontinued|closed) "
        r"(mailbox|account|user|recipient|address)",
        r"not (currently )?accepting (messages|mail)",
    ),
    # Our own sender address was refused. RFC 3463 X.1.7 and X.1.8 say so too, whatever the words.
    _rule(
        Category.POLICY,
        r"sender('s)? (address|domain|e-?mail)?( \S+){0,3} ?"
        r"(rejected|refused|not found|does not exist|unknown|invalid)",
        r"domain of sender|\b[45]\.1\.[78]\b|(invalid|bad|unknown|forged) sender",
        r"mail from\b.{0,40}\b(invalid|denied|rejected)",
    ),
    # Not for this server. Before the mailbox phrases: "user unknown; relaying denied" is about the route.
    _rule(
        Category.RELAY,
        r"no relaying|relay\w*( access)? (denied|prohibited|not (allowed|permitted)|disallowed|forbidden)",
        r"unable to relay|(not (allowed|permitted)|refus\w+|denied|cannot|can't) (to )?relay|we do not relay",
        r"not a gateway|rcpthosts",
    ),
    # Providers' own words for "no such address". Microsoft says "Access denied" where it means an unknown recipient.
    _rule(
        Category.INVALID_MAILBOX,
        r"recipient address rejected: access denied",
        r"(user|recipient|mailbox|mail-box|account|address|addressee|alias|customer)( \S+){0,4}[\s:,;)@>-]*"
        r"(was |is |are |has )?(not|n't|un|in|does|doesn|no longer|never)[ -]?"
        r"(known|found|valid|exist\w*|listed|recogni[sz]ed|here|local|registered|defined|on server|on this|not exist|"
        r"'?t exist|not have|'?t have|a valid|available here)",
        r"(no|unknown|invalid|illegal|non-?existent|bad|undeliverable|unrouteable|undefined) "
        r"(or (illegal|invalid|unknown) )?(such )?"
        r"(user|recipient|mailbox|mail-box|account|address|addressee|alias|local[ -]?part|person|customer|email)",
        r"(no|not a?n?|isn't a) "
        r"(mailbox|valid (user|recipient|mailbox|address)|our user|known user|such (address|person))",
        r"(user|recipient|mailbox|address) (unknown|unrecognized|invalid)",
        r"user doesn't have .{0,40} account|account .{0,60}does not exist|no valid recipients",
        r"recip(ient)?notfound|nosuchuser|unknown-?user|user-?unknown|badrcptto|rcp-p1|not our (user|customer)",
        r"(utilisateur|destinataire|usuario|empf.nger|benutzer)\w* .{0,20}(inconnu|desconocido|unbekannt|inexist)",
    ),
    # RFC 5321's own text for 550 says everything and nothing: "mailbox unavailable (not found, no access, policy)".
    _rule(Category.INACTIVE, r"(mailbox|account|user|recipient|address) (is |currently |temporarily )*unavailable"),
    _rule(
        Category.DNS,
        r"(host|domain|name)( \S+){0,4} ?"
        r"(not found|unknown|does ?n[o']t exist|doesn't exist|is not reachable|has changed)",
        r"(unknown|invalid|bad|unrout(e)?able|no such) (host|domain)|host unknown|nxdomain",
        r"couldn't find any host|unable to look ?up|cannot resolve|null ?mx",
        r"(does not|doesn't|not) accept(ing)? (e-?mail|mail|network messages)",
        r"no (mx|mail exchanger|a record)",
    ),
    _rule(
        Category.NETWORK,
        r"timed? ?out|connection (refused|reset|closed|lost|dropped)|lost connection|no route to host|unreachable",
        r"(retry|time|delivery)[\w ]{0,20}(expired|exceeded|exhausted)|could not be delivered (for|within)",
        r"giving up|too old|hop count|too many hops|loop(s|ing)?\b|conversation with",
        r"name service error|not reachable|message expired",
    ),
    _rule(
        Category.POLICY,
        r"polic(y|ies)|not (allowed|permitted|authori[sz]ed)|prohibited|administrative(ly)?",
        r"denied|forbidden|refused by",
        r"(sender|attachment)\b.{0,40}(rejected|denied|not accepted|blocked)|restricted",
    ),
    _rule(
        Category.SYSTEM,
        r"(system|server|internal|local|temporary|configuration|write|syntax|protocol)[\w ]{0,20}"
        r"(error|problem|failure|busy|unavailable)|insufficient|service (not available|refus|unavailable)",
        r"try again later|out of sequence|improper sequence|not implemented|misconfigur|transaction failed",
    ),
)
