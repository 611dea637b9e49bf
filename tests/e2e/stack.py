"""The services of ``docker-compose.yml`` as plain processes: their commands, environment, health checks and signals.

What differs from containers is where things are, and nothing else: host names become 127.0.0.1, ports become free ones,
the image's folders become the checkout and a folder of the test's own. PostgreSQL is the system's, made anew.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.compose import ROOT, resolved, start_order
from tests.e2e.processes import free_port

PORTS = ("5432", "4200", "8080", "8501")
VARIABLES = {"POSTGRES_PASSWORD": 'it\'s: a "p@ss/word"?'}
_SECONDS = 1.0


def postgres_binaries() -> Path | None:
    """The folder of ``postgres`` and ``initdb``; Debian keeps them off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: float(path.parent.name))


@dataclass
class Service:
    """A running service."""

    name: str
    written: dict[str, Any]
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: IO[bytes]

    def healthy(self) -> bool:
        """Its own health check, run once."""
        kind, *command = self.written["healthcheck"]["test"]
        words = command if kind == "CMD" else ["sh", "-c", command[0]]
        done = subprocess.run(words, env=self.environment, capture_output=True, cwd=ROOT, timeout=30, check=False)
        return done.returncode == 0

    def wait(self, seconds: float) -> None:
        """Until it is healthy."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.healthy():
                return
            time.sleep(_SECONDS)
        raise TimeoutError(f"{self.name} is not healthy (exit code {self.process.poll()}):\n{self.said()}")

    def stop(self) -> float:
        """The file's stop signal; how long it took. TimeoutExpired after the file's grace period."""
        begin = time.monotonic()
        self.process.send_signal(getattr(signal, self.written.get("stop_signal", "SIGTERM")))
        self.process.wait(float(self.written["stop_grace_period"].removesuffix("s")))
        return time.monotonic() - begin

    def survivors(self) -> list[str]:
        """Processes that it has left behind: those of its session."""
        listed = subprocess.run(["ps", "-eo", "sid=,pid=,args="], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if line.split()[0] == str(self.process.pid)]

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


@dataclass
class Stack:
    """The services that run, by name, and where they answer."""

    folder: Path
    ports: dict[str, str]
    services: dict[str, Service] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """What containers have as FVREC_ROOT."""
        return self.folder / "fvrec"

    def url(self, port: str, path: str = "") -> str:
        """The address of what listens on this port of the file."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def local(self, text: str) -> str:
        """A word of the file with local places, hosts and ports in it."""
        for inside, here in {
            "/var/lib/fvrec": self.root,
            "/home/fvrec": self.folder / "home",
            "/app": ROOT,
        }.items():
            text = re.sub(rf"{inside}(?=/|$)", str(here), text)
        text = re.sub(r"(?<![\w-])(postgres|prefect-server)(?=:\d|$)|\b0\.0\.0\.0\b", "127.0.0.1", text)
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: self.ports[match[0]], text)


@contextmanager
def running() -> Iterator[Stack]:
    """All services, each started when those that it depends on are healthy. Those still alive are killed at the end."""
    services = resolved(VARIABLES)["services"]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as logs:
        stack = Stack(Path(folder), {port: str(free_port()) for port in PORTS})
        stack.folder.chmod(0o755)
        for name in ("home", "fvrec", "tmp"):
            (stack.folder / name).mkdir()
        try:
            for name in start_order(services):
                for before in services[name].get("depends_on", {}):
                    stack.services[before].wait(_patience(services[before]))
                log = logs.enter_context(tempfile.TemporaryFile())
                stack.services[name] = _start(stack, name, services[name], log)
            for service in stack.services.values():
                service.wait(_patience(service.written))
            yield stack
        finally:
            for service in stack.services.values():
                if service.process.poll() is None:
                    os.killpg(service.process.pid, signal.SIGKILL)
                    service.process.wait()


def _patience(written: dict[str, Any]) -> float:
    """Twice what the file allows before a container counts as unhealthy: here all share a few cores with others."""
    check = written["healthcheck"]
    start, every = (float(check[name].removesuffix("s")) for name in ("start_period", "interval"))
    return 2 * (start + every * check["retries"])


def _start(stack: Stack, name: str, written: dict[str, Any], log: IO[bytes]) -> Service:
    health = {**written["healthcheck"], "test": [stack.local(word) for word in written["healthcheck"]["test"]]}
    environment = {key: stack.local(str(value)) for key, value in written["environment"].items()}
    environment |= {"HOME": str(stack.folder / "home"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    options: dict[str, Any] = {"cwd": ROOT}
    if name == "postgres":
        command = _make_postgres(stack, environment, options)
    else:
        # The image installs the project; here the checkout is what is tested.
        environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(stack.folder / "tmp")}
        command = [stack.local(word) for word in written["command"]]
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **options
    )
    return Service(name, {**written, "healthcheck": health}, process, environment, log)


def _make_postgres(stack: Stack, environment: dict[str, str], options: dict[str, Any]) -> list[str]:
    """What the image's entry point does with these variables: a cluster, its owner with a password, a database."""
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError("PostgreSQL is not installed")
    data, password = stack.folder / "postgres", stack.folder / "password"
    data.mkdir()
    password.write_text(environment["POSTGRES_PASSWORD"], encoding="utf-8")
    options |= {"cwd": data}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        for path in (data, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    user, quiet = environment["POSTGRES_USER"], {"capture_output": True, "check": True, **options}
    ways = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
    subprocess.run([binaries / "initdb", "-D", data, "-U", user, "-E", "UTF8", "--no-sync", *ways], **quiet)
    create = f'CREATE DATABASE "{environment["POSTGRES_DB"]}"'.encode()
    subprocess.run([binaries / "postgres", "--single", "-D", data, "postgres"], input=create, **quiet)
    return [
        *(str(binaries / "postgres"), "-D", str(data), "-p", stack.ports["5432"]),
        *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"),
    ]
