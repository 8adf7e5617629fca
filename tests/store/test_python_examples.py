"""docs/python.md is run, block by block, against a real database and a real receiver."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
ANSWER = b'{"message":"Workflow was started"}'


async def _n8n(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER))
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def test_every_example_runs_as_it_stands(make_database, monkeypatch, tmp_path, capsys):
    server = await asyncio.start_server(_n8n, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", await make_database())
    monkeypatch.setenv("ENCRYPTION_KEY", "7f3a" * 16)
    monkeypatch.setenv("HOOKVAULT_DATA_DIR", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    try:
        for block in blocks:
            code = compile(
                block.replace("127.0.0.1:5678", f"127.0.0.1:{port}"),
                "docs/python.md",
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            )
            ran = eval(code, names)  # noqa: S307 - our own page
            if inspect.isawaitable(ran):
                await ran
    finally:
        server.close()
    assert "calls, 100.0% successful" in capsys.readouterr().out
