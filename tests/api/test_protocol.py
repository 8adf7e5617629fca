"""The bounds before the routes, on real sockets and uvicorn."""

import asyncio

import pytest
import uvicorn

from hookvault.api import protocol
from hookvault.api.app import create_app


@pytest.fixture
async def port(app, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.5)
    config = uvicorn.Config(
        create_app(app),
        http=protocol.BoundedProtocol,
        port=0,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await asyncio.wait_for(task, 10)


async def answered(port, *parts, pause=0.0):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_head_in_pieces_is_read(port):
    pieces = [b"GET /healthz HT", b"TP/1.1\r\nhost: x\r\n", b"connection: close\r\n\r\n"]
    assert b'{"status":"ok"}' in await answered(port, *pieces, pause=0.05)


async def test_several_requests_on_one_connection(port):
    first = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert (await answered(port, first, first, last, pause=0.3)).count(b'{"status":"ok"}') == 3


async def test_a_head_without_end_is_refused(port):
    endless = [b"GET /healthz HTTP/1.1\r\nx: ", *[b"a" * 16_384] * 4]
    found = await answered(port, *endless, pause=0.02)
    assert b" 431 " in found
    assert b'"head_too_large"' in found


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n",
        b"POST /api/platform/tenants HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_request_that_never_ends_is_closed(port, begun):
    await answered(port, begun)


async def test_an_upgrade_is_no_news(port, caplog):
    found = await answered(
        port, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n"
    )
    assert found.startswith(b"HTTP/1.1 ")
    assert "upgrade" not in caplog.text.lower()
