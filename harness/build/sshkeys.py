"""SSH keys of one run, for the harness and for the server in the guest."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.model import SshKeys

_KIND = b"ssh-ed25519"


def make_keys(run_dir: Path) -> SshKeys:
    """A client key and a host key of their own for the guests of ``run_dir``, below ``run_dir``/ssh."""
    folder = run_dir / "ssh"
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    client, host = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    text = client.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    _write_secret(folder / "client", text)
    _write_secret(folder / "host", dropbear_key(host))
    return SshKeys(folder / "client", host_public=_public(host), host_private=folder / "host")


def dropbear_key(key: Ed25519PrivateKey) -> bytes:
    """``key`` as dropbear keeps host keys: string "ssh-ed25519", then 64 as a length, the seed and the public key.

    The format has no document; it is what buf_put_ed25519_priv_key() in dropbear's src/ed25519.c writes, with
    strings as in RFC 4251, section 5.
    """
    raw = serialization.Encoding.Raw
    seed = key.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
    return _string(_KIND) + _string(seed + public)


def public_of(private: Path) -> str:
    """The public key of the file ``private``, as a line for authorized_keys."""
    key = serialization.load_ssh_private_key(private.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{private} holds no Ed25519 key")
    return _public(key)


def _public(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"{_KIND.decode()} {base64.b64encode(_string(_KIND) + _string(raw)).decode()}"


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _write_secret(file: Path, content: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as sink:
        sink.write(content)
