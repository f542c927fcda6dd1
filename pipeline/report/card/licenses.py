"""Licences as people write them, in the names of dataset hubs and of SPDX."""

import re

# Names that Hugging Face's hub knows and a dataset may bear; all else is `other`.
# fmt: off
HUB_LICENSES = frozenset([
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5",
    "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "gfdl",
    "odc-by", "odbl", "pddl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "isc", "ofl-1.1",
    "unlicense", "unknown", "wtfpl", "zlib",
])
# Of these, how SPDX writes them: https://spdx.org/licenses.
SPDX = {name.lower(): name for name in [
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "C-UDA-1.0", "CC0-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0",
    "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0",
    "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CDLA-Sharing-1.0",
    "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "etalab-2.0", "EUPL-1.1", "EUPL-1.2", "ODC-By-1.0", "ODbL-1.0",
    "PDDL-1.0", "MPL-2.0", "ISC", "OFL-1.1", "Unlicense", "WTFPL", "Zlib",
]} | {"odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0", "c-uda": "C-UDA-1.0"}
# fmt: on


def hub_license(name: str) -> str:
    """A licence as hubs write it.

    >>> hub_license("CC BY 4.0"), hub_license("https://creativecommons.org/licenses/by-nc/4.0/"), hub_license("CC0")
    ('cc-by-4.0', 'cc-by-nc-4.0', 'cc0-1.0')
    """
    plain = re.sub(r"[\s_-]+", "-", name.strip().lower())
    found = re.fullmatch(r"https?://creativecommons\.org/licenses/([a-z-]+)/([\d.]+)/?(?:deed.*|legalcode.*)?", plain)
    if found:
        return f"cc-{found[1]}-{found[2]}"
    if plain in {"cc0", "https://creativecommons.org/publicdomain/zero/1.0/"}:
        return "cc0-1.0"
    spdx = re.fullmatch(r"https?://spdx\.org/licenses/([\w.-]+?)(?:\.html)?", plain)
    return spdx[1] if spdx else plain


def license_url(name: str) -> str:
    """Where a licence can be read: itself if it is a URL, SPDX's page of one that has such a name, else the name as it is.

    >>> license_url("cc by 4.0"), license_url("ask Eve")
    ('https://spdx.org/licenses/CC-BY-4.0.html', 'ask Eve')
    """
    plain = hub_license(name)
    if name.startswith(("https://", "http://")) or plain not in SPDX:
        return name
    return f"https://spdx.org/licenses/{SPDX[plain]}.html"
