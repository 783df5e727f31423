"""The daemons of Keystub on loopback, each with a fresh data folder, configured for one another."""

import pathlib
import re

import processes


def toml(sections):
    """TOML text of {section: {key: value}}; values are strings, numbers, booleans, lists."""
    def value_text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return str(value)
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(value_text, value)) + "]"
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {value_text(value)}\n"
                                             for key, value in keys.items())
                     for name, keys in sections.items())


def write_secret(path, key):
    """A key file as our commands want it: hex, mode 0600."""
    path.touch(mode=0o600)
    path.write_text(key.hex() + "\n")
    return path


class Kms:
    """kms-server init, then run."""

    def __init__(self, data, identity="kms@example.com"):
        self.data = pathlib.Path(data)
        self.identity = identity
        processes.run_ok("kms-server", "init", "--data", self.data, "--identity", identity,
                         "--listen", "127.0.0.1:0")
        self.config = self.data / "kms-server.toml"
        self.tls = self.data / "tls"
        self.ca = self.tls / "ca.pem"
        self.admin_socket = self.data / "admin.sock"
        self.starts = 0
        self.daemon = None
        self.start()

    def start(self):
        self.starts += 1
        self.daemon = processes.Daemon(
            self.data, f"kms-server-{self.starts}", "kms-server", "run", "--config", self.config,
            "--ready-file", self.data / "ready", ready_file=self.data / "ready")
        self.ticket_address = self.daemon.addresses["tickets"]
        # After a restart the port must be the one that everybody knows.
        text = self.config.read_text()
        self.config.write_text(re.sub(r'(\[tickets\]\nlisten = )".*"',
                                      rf'\1"{self.ticket_address}"', text))

    def stop(self):
        return self.daemon.stop()
