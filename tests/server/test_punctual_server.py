"""The server's end, of real processes."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress

import httpx

PROGRAM = """
import logging, signal, socket, sys, time
from contextlib import suppress
import anyio, uvicorn
from server.punctual_server import PunctualServer

logging.basicConfig(format="%(message)s")

async def app(scope, receive, send):
    if scope["path"] == "/hang":
        print("hangs", flush=True)
        await anyio.to_thread.run_sync(time.sleep, 600)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, ws="none", log_config=None, lifespan="off", timeout_graceful_shutdown=0.1)
server = PunctualServer(config, on_stop=lambda: print("told to stop", flush=True), leave_s=float(sys.argv[1]))
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the service has it: uvicorn raises the signal again
with suppress(KeyboardInterrupt):
    server.run(sockets=[listener])
print("left", flush=True)
"""


def started(leave_s: float) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-c", PROGRAM, str(leave_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, f"http://127.0.0.1:{process.stdout.readline().strip()}"


def test_a_server_that_nothing_keeps_leaves_by_itself():
    process, url = started(leave_s=600)
    with process:
        assert httpx.get(url, timeout=240).status_code == 204
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert (process.returncode, out) == (0, "told to stop\nleft\n")
    assert "hangs" not in err


def test_a_request_that_hangs_does_not_keep_the_process():
    process, url = started(leave_s=0.5)
    with process:
        client = threading.Thread(target=ask_in_vain, args=(f"{url}/hang",))
        client.start()
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=240)
        client.join()
    assert process.returncode == 1
    assert out.startswith("told to stop\n")
    assert "a request hangs; the server ends without it, 0.5 s after it was told to" in err


def ask_in_vain(url: str) -> None:
    with suppress(httpx.TransportError):
        httpx.get(url, timeout=240)
