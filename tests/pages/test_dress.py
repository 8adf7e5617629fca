"""What pages are dressed in: how heavy it is, and that browsers get all of it but the comments."""

import re
from importlib.resources import files

import pytest

MOST = 88_000  # compressed bytes; a first visit is to cost 100 KB with the page itself and all that it loads
OWN = files("hookvault.admin").joinpath("static")


@pytest.fixture
async def dress(owner_page):
    """Every file that a page names, by its name: as it is sent, and what it holds."""
    page = await owner_page.get("/")
    found = {}
    for name, address in set(re.findall(r'(?:href|src)="/static/([\w.-]+)(\?v=\w+)', page.text)):
        answer = await owner_page.get(f"/static/{name}{address}", headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        found[name] = answer
    return found


async def test_a_first_visit_is_light(dress):
    assert {"app.css", "app.js", "htmx.min.js", "icons.svg", "inter-latin.woff2"} <= set(dress)
    weights = {name: int(answer.headers["content-length"]) for name, answer in dress.items()}
    assert sum(weights.values()) <= MOST, weights


@pytest.mark.parametrize(("sheet", "ending"), [("app.css", ".css"), ("app.js", ".js")])
async def test_only_comments_are_left_out(dress, sheet, ending):
    """Every other line of every source file is there."""
    sent = dress[sheet].text.splitlines()
    for file in OWN.iterdir():
        if file.name.endswith(ending):
            text = (
                re.sub(r"/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)
                if ending == ".css"
                else file.read_text("utf-8")
            )
            own = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("//")]
            missing = [line for line in own if line not in sent and "/static/" not in line]
            assert missing == [], file.name
    assert not [line for line in sent if line.lstrip().startswith(("//", "/*"))]
