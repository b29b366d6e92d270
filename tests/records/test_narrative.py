"""A div shows text; it runs, fetches and hides nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.records.narrative import fault

OPEN = '<div xmlns="http://www.w3.org/1999/xhtml">'


def div(inside: str) -> str:
    return f"{OPEN}{inside}</div>"


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "&lt;script&gt; &amp; &#160;x",
        '<p style="color: red">a</p>',
        '<a href="https://example.org/a">a</a>',
        '<a href="#here" title="b">a</a><a id="here"></a>',
        '<a href="Patient/1">a</a>',
        '<img src="#logo" alt="a"/>',
        '<img src="data:image/png;base64,AAAA"/>',
        '<table class="grid"><tbody><tr><td colspan="2">1</td></tr></tbody></table>',
        '<p xml:lang="es" lang="es">hola</p>',
    ],
)
def test_plain_xhtml_is_taken(inside: str) -> None:
    assert fault(div(inside)) is None


@pytest.mark.parametrize(
    "inside",
    [
        "",
        " \n ",
        "<script>x()</script>",
        "<SCRIPT>x()</SCRIPT>",
        '<p onclick="x()">a</p>',
        '<p ONCLICK="x()">a</p>',
        '<a href="javascript:x()">a</a>',
        '<a href="&#106;avascript:x()">a</a>',
        '<a href=" javascript:x()">a</a>',
        '<a href="java&#10;script:x()">a</a>',
        '<a href="data:text/html,a">a</a>',
        '<a href="vbscript:x">a</a>',
        "<embed/>a",
        '<img src="https://evil.example/pixel.png"/>',
        '<img src="//evil.example/pixel.png"/>',
        '<img src="data:image/svg+xml;base64,AAAA"/>',
        '<img srcset="https://evil.example/a 2x"/>',
        '<p style="background:url(https://evil.example)">a</p>',
        '<p style="background:u\\72l(https://evil.example)">a</p>',
        '<p style="width: expression(x())">a</p>',
        "<style>p{}</style>a",
        '<link rel="stylesheet" href="a"/>a',
        '<iframe src="a"></iframe>a',
        "<object></object>a",
        "<form><input/></form>a",
        '<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>a',
        '<s:script xmlns:s="http://www.w3.org/1999/xhtml">x()</s:script>',
        '<p xmlns:x="http://www.w3.org/1999/xlink" x:href="javascript:x()">a</p>',
        "<!--><script>x()</script>-->a",
        "<![CDATA[<script>x()</script>]]>a",
        "<?php x() ?>a",
        "<b>",
        "&nbsp;a",
        "\ufffe",
    ],
)
def test_anything_active_is_refused(inside: str) -> None:
    assert fault(div(inside))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "<div>a</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml">a</p>',
        f"{div('a')}{div('b')}",
        f'<?xml version="1.0"?>{div("a")}',
        f'<!DOCTYPE div [<!ENTITY a "b">]>{div("&a;")}',
        f'<!DOCTYPE div [<!ENTITY a SYSTEM "file:///etc/passwd">]>{div("&a;")}',
        OPEN + "<b>" * 5000 + "a" + "</b>" * 5000 + "</div>",
    ],
    ids=range(8),
)
def test_what_is_no_single_plain_div_is_refused(text: str) -> None:
    assert fault(text)


def test_a_message_does_not_repeat_the_narrative() -> None:
    assert "Maria" not in str(fault(div("<Maria>")))
    assert "Maria" not in str(fault(div('<p Maria="1">a</p>')))


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    fault(text)
    fault(div(text))
