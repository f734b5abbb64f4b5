"""The grammar of HTTP/1.1 and of its URIs, as bytes patterns to be composed (RFC 9110, RFC 9112, RFC 3986).

A repetition of single characters is possessive: what can't match then fails in linear time. A repetition of groups is
not, since Python before 3.11.5 gets that wrong (gh-106052).
"""

from typing import Final

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # RFC 9110 §5.6.2
VALUE: Final = rb"[\t -~\x80-\xff]*+"  # RFC 9110 §5.5, with the white space around it
QUOTED_STRING: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*"'  # RFC 9110 §5.6.4
FIELD_LINE: Final = TOKEN + rb":" + VALUE + rb"\r\n"  # RFC 9112 §5

_HEX: Final = rb"%[0-9A-Fa-f]{2}"
_UNRESERVED: Final = rb"A-Za-z0-9._~!$&'()*+,;="  # with the sub-delims, as everywhere in RFC 3986


def _encoded(characters: bytes) -> bytes:
    """Return the pattern of these characters and percent-encoded ones."""
    return rb"[%b]*+(?:%b[%b]*+)*" % (characters, _HEX, characters)


_PATH: Final = _encoded(_UNRESERVED + rb":@/-")
# Browsers send [ and ] in queries as they are, though RFC 3986 §3.4 has them encoded.
_QUERY: Final = rb"(?:\?%b)?" % _encoded(_UNRESERVED + rb":@/?\[\]-")
_REG_NAME: Final = _encoded(_UNRESERVED + rb"-")
_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_H16: Final = rb"[0-9A-Fa-f]{1,4}"
_LS32: Final = rb"(?:%b:%b|%b(?:\.%b){3})" % (_H16, _H16, _OCTET, _OCTET)
_AFTER_GAP: Final = (*(b"(?:%b:){%d}%b" % (_H16, count, _LS32) for count in (5, 4, 3, 2, 1, 0)), _H16, b"")
_IPV6: Final = rb"|".join(  # RFC 3986 §3.2.2: the more groups follow the ::, the fewer may precede it
    (
        rb"(?:%b:){6}%b" % (_H16, _LS32),
        b"::" + _AFTER_GAP[0],
        *(
            rb"(?:(?:%b:){0,%d}%b)?::%b" % (_H16, count, _H16, after_gap)
            for count, after_gap in enumerate(_AFTER_GAP[1:])
        ),
    )
)
_IP_LITERAL: Final = rb"\[(?:%b|[vV][0-9A-Fa-f]++\.[%b:-]++)\]" % (_IPV6, _UNRESERVED)
_PORT: Final = rb"(?::[0-9]*+)?"

# RFC 9110 §7.2: uri-host [ ":" port ]; empty for a target without an authority (RFC 9112 §3.2), but no port alone: a
# URI without a host is invalid (RFC 9110 §4.2.1).
HOST: Final = rb"(?!:)(?:%b|%b)%b" % (_IP_LITERAL, _REG_NAME, _PORT)
SIMPLE_HOST: Final = rb"(?!:)[A-Za-z0-9._-]*+" + _PORT
ORIGIN_FORM: Final = rb"/%b%b" % (_PATH, _QUERY)
# RFC 9110 §4.2.1, §4.2.3, §4.2.4: never without a host, in any case, and no userinfo.
ABSOLUTE_FORM: Final = rb"(?i:https?)://(?![:/? ])%b(?:/%b)?%b" % (HOST, _PATH, _QUERY)
TARGET: Final = rb"(?:%b|%b|(?<=OPTIONS )\*)" % (ORIGIN_FORM, ABSOLUTE_FORM)  # RFC 9112 §3.2.4; no CONNECT

# The IANA registry of methods, without those that are refused: CONNECT (RFC 9110 §9.3.6: no tunnel), TRACE (§9.3.8: no
# echo of what may be secret) and PRI, which is no method but the preface of HTTP/2.
METHODS: Final = (
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"QUERY", b"ACL", b"BASELINE-CONTROL", b"BIND",
    b"CHECKIN", b"CHECKOUT", b"COPY", b"LABEL", b"LINK", b"LOCK", b"MERGE", b"MKACTIVITY", b"MKCALENDAR", b"MKCOL",
    b"MKREDIRECTREF", b"MKWORKSPACE", b"MOVE", b"ORDERPATCH", b"PROPFIND", b"PROPPATCH", b"REBIND", b"REPORT", b"SEARCH",
    b"UNBIND", b"UNCHECKOUT", b"UNLINK", b"UNLOCK", b"UPDATE", b"UPDATEREDIRECTREF", b"VERSION-CONTROL",
)  # fmt: skip
METHOD: Final = rb"(?:%b)" % rb"|".join(METHODS)
