"""TLS-PSK far ends that are not ours: the openssl and gnutls commands, fed through their pipes.

Each is one child process; it is ended by its own pid.
"""

import os
import selectors
import socket
import subprocess
import time

SECONDS = 15


def gnutls_priority(version):
    # gnutls-cli 3.7 crashes when it prints a TLS 1.2 session with ECDHE-PSK.
    exchanges = "+PSK" if version == "1.2" else "+PSK:+ECDHE-PSK:+DHE-PSK"
    return f"NORMAL:-KX-ALL:{exchanges}:-VERS-ALL:+VERS-TLS{version}"


def openssl_version(version):
    if version == "1.2":
        return ["-tls1_2", "-cipher", "PSK"]
    return ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FarEnd:
    """A child whose standard input and output are the application data."""

    def __init__(self, argv):
        self.argv = [str(part) for part in argv]
        self.child = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, bufsize=0)
        os.set_blocking(self.child.stdout.fileno(), False)
        self.received = b""

    def send(self, data):
        self.child.stdin.write(data)

    def _read(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return True
        data = self.child.stdout.read()
        self.received += data or b""
        return data != b""

    def wait_for(self, text, seconds=SECONDS):
        """Reads until `text` is there; all that was received."""
        deadline = time.monotonic() + seconds
        while text not in self.received:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in {seconds} s from {self.argv[0]}:\n"
                                     f"{self.received.decode(errors='replace')}")
            if not self._read(0.1) and text not in self.received:
                raise AssertionError(f"{self.argv[0]} ended without {text!r}:\n"
                                     f"{self.received.decode(errors='replace')}")
        return self.received

    def wait_end(self, seconds=SECONDS):
        """Its exit code, once it ended by itself."""
        deadline = time.monotonic() + seconds
        while self.child.poll() is None:
            self._read(0.05)
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.argv[0]} still runs after {seconds} s:\n"
                                     f"{self.received.decode(errors='replace')}")
        return self.child.returncode

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def openssl_client(port, identity, psk, version):
    return FarEnd(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-psk",
                   psk.hex(), "-psk_identity", identity, *openssl_version(version)])


def gnutls_client(port, identity, psk, version):
    return FarEnd(["gnutls-cli", "-p", port, "127.0.0.1", "--pskusername", identity, "--pskkey",
                   psk.hex(), "--priority", gnutls_priority(version), "--no-ca-verification"])


def openssl_certificate_client(port, version):
    return FarEnd(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}",
                   "-tls1_2" if version == "1.2" else "-tls1_3"])


def _wait_listening(far_end, port):
    deadline = time.monotonic() + SECONDS
    table = f":{port:04X}"
    while True:
        with open("/proc/net/tcp", encoding="ascii") as sockets:
            # Local address and state LISTEN: a connection would use up the one that is accepted.
            if any(line.split()[1].endswith(table) and line.split()[3] == "0A"
                   for line in sockets.readlines()[1:]):
                return
        if far_end.child.poll() is not None or time.monotonic() > deadline:
            far_end._read(0.1)
            raise AssertionError(f"{far_end.argv[0]} does not listen:\n"
                                 f"{far_end.received.decode(errors='replace')}")
        time.sleep(0.02)


def openssl_server(identity, psk, version):
    """The far end and its port."""
    port = free_port()
    far_end = FarEnd(["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-naccept",
                      "1", "-nocert", "-psk", psk.hex(), "-psk_identity", identity,
                      *openssl_version(version)])
    _wait_listening(far_end, port)
    return far_end, port


def gnutls_server(folder, identity, psk, version):
    """Prints what it gets, and sends it back with its last line end changed. The far end and its
    port."""
    port = free_port()
    passwords = folder / f"psk-{port}"
    passwords.touch(mode=0o600)
    passwords.write_text(f"{identity}:{psk.hex()}\n")
    far_end = FarEnd(["gnutls-serv", "--echo", "-p", port, "--pskpasswd", passwords, "--priority",
                      gnutls_priority(version)])
    # It listens on every address of the machine.
    _wait_listening(far_end, port)
    return far_end, port
