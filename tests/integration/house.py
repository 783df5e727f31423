"""The daemons of Keystub on loopback, each with a fresh data folder, configured for one another."""

import json
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

    def configure_certificates(self, certificate, key, anchors, crl=""):
        """Starts it anew with the public-key variants."""
        self.stop()
        self.config.write_text(self.config.read_text() + "\n" + toml({"pk": {
            "enabled": True, "certificate": certificate, "private_key": key,
            "trust_anchors": anchors, "crl": crl}}))
        self.start()

    def ctl(self, *arguments, **options):
        """kmsctl on the admin socket: subprocess.CompletedProcess."""
        return processes.run("kmsctl", "--socket", self.admin_socket, *arguments, **options)

    def ctl_ok(self, *arguments, **options):
        return processes.run_ok("kmsctl", "--socket", self.admin_socket, *arguments, **options)

    def create_identity(self, uri, folder, kind="user"):
        """An identity with a new key; the file that holds it."""
        key_file = pathlib.Path(folder) / (re.sub(r"[^a-z0-9]+", "-", uri) + ".psk")
        self.ctl_ok("identity", "create", uri, "--kind", kind, "--new-psk", key_file)
        return key_file

    def ticket(self, verb, identity, key_file, *arguments):
        """kmsctl ticket request|resolve, as JSON."""
        return processes.run(
            "kmsctl", "--server", self.ticket_address, "--ca", self.ca, "--output", "json",
            "ticket", verb, "--identity", identity, "--kms", self.identity,
            "--psk-file", key_file, *arguments)

    def share_tpk(self, uri, folder):
        """(key file, key id) of a ticket protection key for mode 3."""
        key_file = pathlib.Path(folder) / (re.sub(r"[^a-z0-9]+", "-", uri) + ".tpk")
        told = json.loads(self.ctl_ok("--output", "json", "tpk", "share", "--identity", uri,
                                      "--out", key_file))
        return key_file, told["tpk_id"]

    def audit(self):
        """The decisions so far."""
        return [json.loads(line)
                for line in (self.data / "audit.jsonl").read_text().splitlines()]


class User:
    """A user endpoint's identity, key and configuration."""

    def __init__(self, kms, folder, uri, mode_3=False, **sections):
        self.uri = uri
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.psk_file = kms.create_identity(uri, self.folder)
        settings = {
            "identity": {"uri": uri, "psk_file": self.psk_file},
            "kms": {"target": kms.ticket_address, "ca": kms.ca, "identity": kms.identity},
            "replay": {"file": "replay.window"},
        }
        if mode_3:
            tpk_file, tpk_id = kms.share_tpk(uri, self.folder)
            settings["ticket"] = {"tpk_file": tpk_file, "tpk_id": tpk_id}
        for section, keys in sections.items():
            settings[section] = settings.get(section, {}) | keys
        self.config = self.folder / "ue.toml"
        self.config.write_text(toml(settings))
        processes.run_ok("ue-agent", "init", "--config", self.config)
        self.sessions = 0

    def _session(self, verb, *arguments):
        self.sessions += 1
        return processes.UserEndpoint(self.folder, f"{verb}-{self.sessions}", "ue-agent", verb,
                                      "--config", self.config, "--output", "json", *arguments)

    def path(self, name):
        """A file of the next session."""
        return self.folder / f"{self.sessions + 1}-{name}.sdp"

    def offer(self, to, *arguments):
        """Starts offering; the session has .offer_file and .answer_file."""
        offer_file, answer_file = self.path("offer"), self.path("answer")
        session = self._session("offer", "--to", to, "--offer-out", offer_file,
                                "--answer-in", answer_file, *arguments)
        session.offer_file, session.answer_file = offer_file, answer_file
        return session

    def answer(self, offer_file, *arguments):
        """Starts answering the offer in this file; the session has .answer_file."""
        answer_file = self.path("answer")
        session = self._session("answer", "--offer-in", offer_file, "--answer-out", answer_file,
                                *arguments)
        session.answer_file = answer_file
        return session


class Mrfp:
    """The media plane, with the certificates of the lab CA."""

    def __init__(self, kms, folder, **sections):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        settings = {"control": {"listen": "127.0.0.1:0", "certificate": kms.tls / "mrfp.pem",
                                "private_key": kms.tls / "mrfp.key", "client_ca": kms.ca,
                                "client_names": ["mrfc"]},
                    "media": {"ip": "127.0.0.1"},
                    "log": {"level": "debug"}}
        for section, keys in sections.items():
            settings[section] = settings.get(section, {}) | keys
        self.config = self.folder / "mrfp.toml"
        self.config.write_text(toml(settings))
        self.daemon = processes.Daemon(
            self.folder, "mrfp-agent", "mrfp-agent", "run", "--config", self.config,
            "--ready-file", self.folder / "ready", ready_file=self.folder / "ready")
        self.address = self.daemon.addresses["control"]
        # With the real port: for the health check.
        self.config.write_text(self.config.read_text().replace("127.0.0.1:0", self.address))

    def stop(self):
        return self.daemon.stop()


class Mrfc:
    """The controller, as an identity of the KMS."""

    def __init__(self, kms, mrfp, folder, uri="sip:mrfc@example.com", mode_3=False, **sections):
        self.uri = uri
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.psk_file = kms.create_identity(uri, self.folder, kind="mrfc")
        certificate = {"certificate": kms.tls / "mrfc.pem", "private_key": kms.tls / "mrfc.key"}
        settings = {
            "identity": {"uri": uri, "psk_file": self.psk_file},
            "kms": {"target": kms.ticket_address, "ca": kms.ca, "identity": kms.identity}
                   | certificate,
            "mrfp": {"target": mrfp.address, "ca": kms.ca} | certificate,
            "listen": {"address": "127.0.0.1:0", "client_ca": kms.ca} | certificate,
            "replay": {"file": "replay.window"},
            "log": {"level": "debug"},
        }
        if mode_3:
            tpk_file, tpk_id = kms.share_tpk(uri, self.folder)
            settings["ticket"] = {"source": "self-issued", "tpk_file": tpk_file, "tpk_id": tpk_id}
        for section, keys in sections.items():
            settings[section] = settings.get(section, {}) | keys
        self.config = self.folder / "mrfc.toml"
        self.config.write_text(toml(settings))
        processes.run_ok("mrfc-agent", "init", "--config", self.config)
        self.daemon = processes.Daemon(
            self.folder, "mrfc-agent", "mrfc-agent", "run", "--config", self.config,
            "--ready-file", self.folder / "ready", ready_file=self.folder / "ready")
        self.address = self.daemon.addresses["sessions"]
        self.config.write_text(self.config.read_text().replace("127.0.0.1:0", self.address))
        self.client = ("--server", self.address, "--ca", kms.ca, "--cert", kms.tls / "mrfc.pem",
                       "--key", kms.tls / "mrfc.key", "--output", "json")

    def stop(self):
        return self.daemon.stop()

    def ctl(self, *arguments, **options):
        """mrfcctl: subprocess.CompletedProcess."""
        return processes.run("mrfcctl", *self.client, *arguments, **options)

    def ctl_ok(self, *arguments, **options):
        """mrfcctl's answer, out of its JSON."""
        return json.loads(processes.run_ok("mrfcctl", *self.client, *arguments, **options))

    def dial_out(self, user, *answer_options, conference=None):
        """Offers to the user, who answers: (session, the user's side)."""
        offer_file = user.path("offer")
        arguments = ("--conference", conference) if conference else ()
        session = self.ctl_ok("offer", "--peer", user.uri, "--sdp-out", offer_file, *arguments)
        side = user.answer(offer_file, "--from", self.uri, *answer_options)
        side.offer_file = offer_file
        return session, side

    def take_answer(self, session, side, *options):
        """Waits for the user's answer and hands it to the MRFC: subprocess.CompletedProcess."""
        side.wait_event("answer made")
        processes.wait_for_file(side.answer_file)
        return self.ctl("accept-answer", "--session", session["session"],
                        "--sdp", side.answer_file, *options)

    def dial_in(self, user, *offer_options, conference=None):
        """The user offers, the MRFC answers: (mrfcctl's CompletedProcess, the user's side)."""
        side = user.offer(self.uri, *offer_options)
        side.wait_event("offer made")
        processes.wait_for_file(side.offer_file)
        arguments = ("--conference", conference) if conference else ()
        done = self.ctl("accept-offer", "--sdp", side.offer_file, "--from", user.uri,
                        "--sdp-out", side.answer_file, *arguments)
        return done, side

    def wait_state(self, session, state, seconds=15):
        """Waits until the session's medium reaches the state: its events."""
        done = self.ctl("--timeout", f"{seconds}s", "watch", "--from", "1", "--session", session,
                        "--until", state)
        if done.returncode != 0:
            raise processes.Failure(f"session {session} is not {state}\n{done.stdout}{done.stderr}"
                                    f"{self.daemon.log()}")
        return [json.loads(line) for line in done.stdout.splitlines()]


class Everything:
    """KMS, MRFP, MRFC and two users in one folder."""

    def __init__(self, folder, mode_3=False, **mrfc_sections):
        self.folder = pathlib.Path(folder)
        self.kms = Kms(self.folder / "kms", identity="sip:kms@example.com")
        self.mrfp = Mrfp(self.kms, self.folder / "mrfp")
        self.mrfc = Mrfc(self.kms, self.mrfp, self.folder / "mrfc", mode_3=mode_3, **mrfc_sections)
        self.alice = User(self.kms, self.folder / "alice", "sip:alice@example.com")
        self.bob = User(self.kms, self.folder / "bob", "sip:bob@example.com")

    def stop(self):
        """Ends the daemons; their exit codes."""
        return {"mrfc": self.mrfc.stop(), "mrfp": self.mrfp.stop(), "kms": self.kms.stop()}
