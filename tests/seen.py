"""What a page says, and how a part of one is asked for."""

import re
from html import unescape


def words(answer):
    """What a page says on a wide screen, without its markup."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    text = re.sub(r'<span class="[^"]*show-narrow">.*?</span>', " ", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


SCRIPTED = {"hx-request": "true", "hx-request-type": "partial"}  # as htmx asks for a part
