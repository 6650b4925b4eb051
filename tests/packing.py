"""Packages of a host packed again, and offered by a repository on the host itself: no test needs a mirror."""

from __future__ import annotations

#: Packs the installed packages that ``$1`` matches again, with ``$2`` behind their version and with their own
#: maintainer scripts, and offers them alone. dpkg keeps control files as PACKAGE.NAME.
_OFFER = r"""
set -e
rm -rf /srv/offer && mkdir -p /srv/offer && cd /srv/offer
for package in $(dpkg-query --show --showformat='${db:Status-Abbrev}${Package}\n' "$1" | sed -n 's/^ii //p'); do
    mkdir -p tree/DEBIAN
    version=$(dpkg-query --show --showformat='${Version}' $package)
    dpkg-query --listfiles $package | while read -r path; do
        if [ -f "$path" ] || [ -L "$path" ]; then
            mkdir -p "tree$(dirname "$path")" && cp -a "$path" "tree$path"
        fi
    done
    for part in conffiles config postinst postrm preinst prerm templates triggers; do
        file=/var/lib/dpkg/info/$package.$part
        if [ -f $file ]; then cp -a $file tree/DEBIAN/$part; fi
    done
    dpkg --status $package | sed -e '/^Status:/d' -e '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}' \
        -e "s/$version/$version$2/g" > tree/DEBIAN/control
    dpkg-deb -Znone --build tree $package.deb > /dev/null
    { cat tree/DEBIAN/control; echo "Filename: ./$package.deb"; echo "Size: $(stat -c %s $package.deb)"
      echo "SHA256: $(sha256sum $package.deb | cut -d' ' -f1)"; echo; } >> Packages
    rm -rf tree
done
mkdir -p /srv/lists && mv /etc/apt/sources.list /etc/apt/sources.list.d/* /srv/lists/ 2>/dev/null || true
echo 'deb [trusted=yes] file:/srv/offer ./' > /etc/apt/sources.list
"""

_WITHDRAW = r"""
rm -f /etc/apt/sources.list
[ -f /srv/lists/sources.list ] && mv /srv/lists/sources.list /etc/apt/
mv /srv/lists/* /etc/apt/sources.list.d/ 2>/dev/null
rm -rf /srv/offer /srv/lists
true
"""


def offer(pattern: str, suffix: str = "") -> list[str]:
    """The command by which a host offers itself the packages that ``pattern`` matches, ``suffix`` behind versions."""
    return ["sh", "-c", _OFFER, "sh", pattern, suffix]


def withdraw() -> list[str]:
    """The command that brings back the repositories from before."""
    return ["sh", "-c", _WITHDRAW]
