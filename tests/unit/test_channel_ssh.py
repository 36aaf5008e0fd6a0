"""The SSH channel against a server in this process: both keys are pinned, lines go both ways."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from harness.channel.base import ChannelClosed
from harness.channel.ssh import SshChannel
from harness.model import SshKeys


def _new_key(file: Path) -> paramiko.Ed25519Key:
    private = Ed25519PrivateKey.generate()
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    return paramiko.Ed25519Key.from_private_key_file(str(file))


def _known(key: paramiko.PKey) -> str:
    return f"ssh-ed25519 {base64.b64encode(key.asbytes()).decode()}"


class _Server(paramiko.ServerInterface):
    """Accepts one client key and answers each line of the command with itself."""

    def __init__(self, client: paramiko.PKey) -> None:
        self.client = client
        self.command = b""

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        same = key.asbytes() == self.client.asbytes()
        return AUTH_SUCCESSFUL if same else AUTH_FAILED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.command = command
        threading.Thread(target=self._echo, args=(channel,), daemon=True).start()
        return True

    @staticmethod
    def _echo(channel: paramiko.Channel) -> None:
        for line in channel.makefile("rb"):
            channel.sendall(line)
        channel.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, SshKeys, _Server]]:
    host, client = _new_key(tmp_path / "host"), _new_key(tmp_path / "client")
    server = _Server(client)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(peer)
                transport.add_server_key(host)
                try:
                    transport.start_server(server=server)
                except (paramiko.SSHException, EOFError, OSError):
                    transport.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], SshKeys(tmp_path / "client", _known(host)), server


def test_lines_go_both_ways(served: tuple[int, SshKeys, _Server]) -> None:
    port, keys, server = served
    channel = SshChannel(port, keys, "/init serve")
    channel.send(b'{"id":1}')
    channel.send(b'{"id":2}')
    assert channel.receive(5) == b'{"id":1}'
    assert channel.receive(5) == b'{"id":2}'
    assert channel.receive(0.1) is None
    assert server.command == b"/init serve"
    channel.close()


def test_another_host_key_is_refused(served: tuple[int, SshKeys, _Server], tmp_path: Path) -> None:
    port, keys, _ = served
    other = _new_key(tmp_path / "other")
    with pytest.raises(ChannelClosed, match=r"(?i)host key|bad"):
        SshChannel(port, SshKeys(keys.client, _known(other)), "true")


def test_a_client_without_our_key_gets_nowhere(served: tuple[int, SshKeys, _Server], tmp_path: Path) -> None:
    port, keys, _ = served
    _new_key(tmp_path / "stranger")
    with pytest.raises(ChannelClosed, match=r"(?i)auth"):
        SshChannel(port, SshKeys(tmp_path / "stranger", keys.host_public), "true")


def test_no_server_is_said(tmp_path: Path) -> None:
    _new_key(tmp_path / "client")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ChannelClosed, match="no SSH server"):
        SshChannel(port, SshKeys(tmp_path / "client", "ssh-ed25519 AAAA"), "true")


def test_a_port_that_accepts_and_is_silent_is_given_up_soon(tmp_path: Path) -> None:
    """QEMU's user network accepts before the guest has a server."""
    _new_key(tmp_path / "client")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(ChannelClosed):
            SshChannel(listener.getsockname()[1], SshKeys(tmp_path / "client", "ssh-ed25519 AAAA"), "true")
    assert time.monotonic() - started < 2
