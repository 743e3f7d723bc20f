"""Passwords and tokens in URLs: everything displayed or stored contains a mask instead; only this process knows them.

A URL is masked on input, and its mask is replaced by the secret when it is opened. The secrets are kept in an
environment variable, so that child processes share them; on Linux, only the same user (and root) can read it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import traceback
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from urllib.parse import quote, unquote

MEMORY = "MKGAN_URL_SECRETS"  # the environment variable: JSON, {"<place> <mask>": secret}
MASK = "***"

_MASKED = re.compile(r"(\*\*\*\d*)(/.*)?", re.DOTALL)  # in a query, a path may follow: a file below a masked folder
_CHAIN = re.compile(r"::(?=[A-Za-z][\w+.-]*://)")  # fsspec's, as in simplecache::http://...
_URL = re.compile(r"([A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
_LOCAL = {"file", "local", "memory"}  # a question mark is an ordinary character there
_NAME_ALONE = frozenset("abfs abfss wasb wasbs az ssh sftp hdfs webhdfs".split())  # container@account, login@host

_PASSWORD_LETTERS, _VALUE_LETTERS = (
    4,
    8,
)  # shorter ones are masked only in URLs, because texts often contain "1", "true"
# bounded, so that no text takes long; a URL turned into a path has one slash
_USER_IN_TEXT = re.compile(r"""(?<=[:/]/)[^\s/?#'"<>@:]*:[^\s/?#'"<>@]*@""")
_VALUE_IN_TEXT = re.compile(
    r"""(?i)([?&][^=&?\s]{0,40}(?:sig|token|secret|passw|pwd|key|auth|credential)[^=&?\s]{0,40}=)(?!\*\*\*)[^&\s'"<>]+"""
)

_SHARED_LETTERS = 100_000  # Linux's limit for a variable of a child process; only this process knows the rest
_own: dict[str, str] = {}
_lock = Lock()
_plain_record = logging.getLogRecordFactory()


def hide(uri: str) -> str:
    """A URL with a mask in place of its user info and of each value in its query; other texts are unchanged.

    The masked secrets are remembered. Another secret at the same place gets another mask, ``***2``; the same URL always
    gets the same one, and a masked URL stays unchanged. A login or container without a password, as in
    ``sftp://login@host``, is not a secret.

    Example:
        >>> hide("http://alice:secretpw@example.org/x?sig=abc"), hide("data/im_1.png")
        ('http://***@example.org/x?sig=***', 'data/im_1.png')
        >>> hide("http://bob:otherpw@example.org/x"), reveal("http://***@example.org/x/im_1.png")
        ('http://***2@example.org/x', 'http://alice:secretpw@example.org/x/im_1.png')
    """
    return _replaced(uri, _remember)


def reveal(uri: str) -> str:
    """The original of a masked URL, also of a file below a masked folder; unchanged if the secret is unknown.

    Example:
        >>> reveal("http://***@nobody/x")
        'http://***@nobody/x'
    """
    return _replaced(uri, _recall)


def is_masked(uri: str) -> bool:
    """Whether a URL contains a mask, and so cannot be opened directly.

    Example:
        >>> is_masked("http://***@h:1/x"), is_masked("http://alice:secretpw@h:1/x"), is_masked("a***b.png")
        (True, False, False)
    """
    return _replaced(uri, lambda _, secret: "" if _MASKED.fullmatch(secret) else secret) != uri


def mask(text: str) -> str:
    """A text with a mask in place of every known secret, and of everything in a URL that looks like one.

    Example:
        >>> mask("GET ftp://eve:pw@h/x failed; http://h/y?size=3&token=abc too")
        'GET ftp://***@h/x failed; http://h/y?size=3&token=*** too'
    """
    for secret, masked in _in_text(*_memory()):
        text = text.replace(secret, masked)
    if "@" in text:
        text = _USER_IN_TEXT.sub(f"{MASK}@", text)
    return _VALUE_IN_TEXT.sub(rf"\1{MASK}", text) if "=" in text else text


def mask_logs() -> None:
    """From now on mask all log messages of this process; called automatically once it knows a secret."""
    global _plain_record
    with _lock:
        if logging.getLogRecordFactory() is not _masked_record:
            _plain_record = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_masked_record)


def _masked_record(*args: object, **kwargs: object) -> logging.LogRecord:
    record = _plain_record(*args, **kwargs)  # type: ignore[arg-type]
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message; the handler reports it
        return record
    if (masked := mask(message)) != message:
        record.msg, record.args = masked, None
    if record.exc_info and record.exc_info[0]:
        shown = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (masked := mask(shown)) != shown:
            # formatters print this text; without the exception they cannot create it again
            record.exc_text, record.exc_info = masked, None
    return record


def _replaced(uri: str, swap: Callable[[str, str], str]) -> str:
    """The URL with each secret, or mask, replaced by ``swap(place, text)``."""
    return "::".join(_link_replaced(link, swap) for link in _CHAIN.split(uri))


def _link_replaced(link: str, swap: Callable[[str, str], str]) -> str:
    found = _URL.fullmatch(link)
    if found is None:
        return link
    scheme, rest = found.groups()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and ":" in authority and not re.search(r"(:\d*|\])$", authority) and "@" in rest:
        authority = rest.rpartition("@")[0] + "@"  # a password with a slash or similar
    user, at, host = authority.rpartition("@")
    tail = rest[len(authority) :]
    # a mask belongs to a scheme and a host, so a URL in a file cannot send a secret to another host
    origin = f"{scheme}://{host or re.split('[/?#]', tail, maxsplit=1)[0]}"
    if user and (":" in user or scheme.lower() not in _NAME_ALONE):
        user = swap(f"{origin} @", user)
    path, question, query = tail.partition("?")
    if question and scheme.lower() not in _LOCAL:
        query = "&".join(_value_replaced(part, origin, swap) for part in query.split("&"))
    return f"{scheme}://{user}{at}{host}{path}{question}{query}"


def _value_replaced(part: str, origin: str, swap: Callable[[str, str], str]) -> str:
    """Swap a part of a query, ``name=value`` or only a value."""
    name, equals, value = part.partition("=") if "=" in part else ("", "", part)
    return f"{name}{equals}{swap(f'{origin} {name}', value) if value else ''}"


def _remember(place: str, secret: str) -> str:
    """The mask of a secret at a place: a scheme and a host, with ``@`` or the name of a value."""
    if _MASKED.fullmatch(secret):
        return secret
    with _lock:
        known = _known(*_memory())
        number = 1
        while (masked := f"{MASK}{number if number > 1 else ''}") and (other := known.get(f"{place} {masked}")):
            if secret == other:
                return masked
            if secret.startswith(f"{other}/") and not place.endswith(" @"):  # a file below the folder in that query
                return masked + secret[len(other) :]
            number += 1
        shared = json.dumps({**known, f"{place} {masked}": secret})
        if len(shared) < _SHARED_LETTERS:
            os.environ[MEMORY] = shared
        else:
            _own[f"{place} {masked}"] = secret
    mask_logs()
    return masked


def _recall(place: str, masked: str) -> str:
    found = _MASKED.fullmatch(masked)
    secret = _known(*_memory()).get(f"{place} {found[1]}") if found else None
    return secret + (found[2] or "") if found and secret else masked


def _memory() -> tuple[str, int]:
    return os.environ.get(MEMORY, ""), len(_own)


@lru_cache(maxsize=8)
def _known(shared: str, _: int) -> dict[str, str]:
    """The known secrets: place and mask -> secret."""
    try:
        known = json.loads(shared or "{}")
    except ValueError:
        known = None
    pairs = known.items() if isinstance(known, dict) else ()
    return {key: secret for key, secret in pairs if isinstance(secret, str)} | _own


@lru_cache(maxsize=8)
def _in_text(shared: str, own: int) -> list[tuple[str, str]]:
    """The texts to mask: every form of the secrets that file systems print, the longest first."""
    forms: dict[str, str] = {}
    for key, secret in _known(shared, own).items():
        place, _, masked = key.rpartition(" ")
        if place.endswith(" @"):
            forms[f"{secret}@"] = forms[f"{unquote(secret)}@"] = f"{masked}@"
            forms[base64.b64encode(unquote(secret).encode()).decode()] = masked  # as in an HTTP header
        words = secret.partition(":")[2] if place.endswith(" @") and ":" in secret else secret
        if len(words) >= (_PASSWORD_LETTERS if place.endswith(" @") else _VALUE_LETTERS):
            forms |= dict.fromkeys((words, unquote(words), quote(unquote(words), safe="")), masked)
    return sorted(forms.items(), key=lambda form: -len(form[0]))


if os.environ.get(MEMORY):
    mask_logs()
