"""text.div: XHTML that a browser can show without running, fetching or hiding anything.

Consumers often hand the div to an HTML parser, which reads comments and CDATA otherwise than XML
does; both are refused, as is every DOCTYPE, so no entity is ever expanded.
"""

import re
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml "
ELEMENTS = """
a abbr acronym address b big blockquote br caption cite code col colgroup dd del dfn div dl dt em
h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q samp small span strike strong sub sup table tbody
td tfoot th thead tr tt u ul var
"""
ATTRIBUTES = """
abbr align alt axis border bgcolor cellhalign cellpadding cellspacing cellvalign char charoff class
colspan dir frame headers height href hreflang id lang name noshade nowrap rowspan rules scope span
src start style summary title type valign value width
"""
TAGS = frozenset(f"{XHTML}{name}" for name in ELEMENTS.split())
PLAIN = frozenset(ATTRIBUTES.split()) | {"http://www.w3.org/XML/1998/namespace lang"}
LINK = re.compile(r"(?:https?:|mailto:|tel:|#|[A-Za-z0-9./_-]+\Z)", re.IGNORECASE)
IMAGE = re.compile(r"(?:#|data:image/(?:png|jpeg|gif);base64,)", re.IGNORECASE)
ACTIVE_STYLE = re.compile(r"url|expression|import|behavior|binding|[\\@<]", re.IGNORECASE)
DEPTH_LIMIT = 100


class _Refused(Exception):
    """Carries the reason, never the text."""


class _Reader:
    """Handlers for expat; raising stops the parser."""

    def __init__(self) -> None:
        self.depth = 0
        self.content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in TAGS or (self.depth == 0 and name != f"{XHTML}div"):
            raise _Refused("The narrative holds an element that is not allowed.")
        for attribute, value in attributes.items():
            if not _harmless(attribute, value):
                raise _Refused("The narrative holds an attribute or a link that is not allowed.")
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise _Refused("The narrative is nested too deeply.")
        self.content = self.content or name == f"{XHTML}img"

    def end(self, _name: str) -> None:
        self.depth -= 1

    def characters(self, text: str) -> None:
        self.content = self.content or not text.isspace()

    def refuse(self, *_anything: object) -> None:
        raise _Refused("The narrative holds a comment, CDATA, DOCTYPE or processing instruction.")


def fault(div: str) -> str | None:
    """Why this div is refused, or None."""
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.CommentHandler = reader.refuse
    parser.StartCdataSectionHandler = reader.refuse
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    parser.XmlDeclHandler = reader.refuse
    try:
        parser.Parse(div.encode("utf-8", "surrogatepass"), True)  # noqa: FBT003
    except _Refused as refusal:
        return str(refusal)
    except expat.ExpatError:
        return "The narrative is not well-formed XHTML."
    return None if reader.content else "The narrative is empty."


def _harmless(attribute: str, value: str) -> bool:
    match attribute:
        case "href":
            return LINK.match(value) is not None
        case "src":
            return IMAGE.match(value) is not None
        case "style":
            return ACTIVE_STYLE.search(value) is None
        case _:
            return attribute in PLAIN
