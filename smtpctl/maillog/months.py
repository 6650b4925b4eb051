"""Names of months in time stamps of the BSD form.

Loggers write English names (RFC 3164 §4.1.2) unless somebody started them under another locale: then they write that
locale's abbreviations, as the C library has them (strftime(3), ``%b``). Those of languages that mail servers are run in
stand here; a name means the same month wherever it occurs.
"""

from __future__ import annotations

_NAMES = """
jan  feb  mar  apr  may  jun  jul  aug  sep  oct  nov  dec
jan  feb  mär  apr  mai  jun  jul  aug  sep  okt  nov  dez
jän  feb  mär  apr  mai  jun  jul  aug  sep  okt  nov  dez
janv févr mars avril mai juin juil août sept oct nov déc
ene  feb  mar  abr  may  jun  jul  ago  sep  oct  nov  dic
gen  feb  mar  apr  mag  giu  lug  ago  set  ott  nov  dic
jan  fev  mar  abr  mai  jun  jul  ago  set  out  nov  dez
jan  feb  mrt  apr  mei  jun  jul  aug  sep  okt  nov  dec
jan  feb  mar  apr  maj  jun  jul  aug  sep  okt  nov  dec
tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu
sty  lut  mar  kwi  maj  cze  lip  sie  wrz  paź  lis  gru
led  úno  bře  dub  kvě  čen  čec  srp  zář  říj  lis  pro
jan  febr márc ápr  máj  jún  júl  aug  szept okt nov  dec
ιαν  φεβ  μαρ  απρ  μάι  ιούν ιούλ αύγ  σεπ  οκτ  νοέ  δεκ
ιαν  φεβ  μαρ  απρ  μαϊ  ιουν ιουλ αυγ  σεπ  οκτ  νοε  δεκ
янв  фев  мар  апр  май  июн  июл  авг  сен  окт  ноя  дек
січ  лют  бер  кві  тра  чер  лип  сер  вер  жов  лис  гру
oca  şub  mar  nis  may  haz  tem  ağu  eyl  eki  kas  ara
"""

#: Name in lower case -> 1 to 12.
MONTHS = {
    name.encode(): number for line in _NAMES.strip().splitlines() for number, name in enumerate(line.split(), start=1)
}


def month_of(name: bytes) -> int | None:
    """The month that a name means; None for what is no month."""
    number = MONTHS.get(name.lower().rstrip(b"."))  # the bytes of ASCII only
    if number is None and not name.isascii():
        number = MONTHS.get(name.decode(errors="replace").lower().rstrip(".").encode())
    return number
