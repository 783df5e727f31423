"""The ports of a KMS: who may do what, which TLS, which certificates, and how it says that it is well."""

import datetime
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import house
import processes

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
DAY = datetime.timedelta(days=1)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return done


# Who may not call what in test_each_role_does_its_own_and_no_more.
DENIED = [("mrfc", "PrepareTpk"), ("ue", "CreateIdentity"), ("ue", "PrepareTpk"),
          ("mrfp", "ListIdentities"), ("mrfp", "CreateIdentity"), ("mrfp", "PrepareTpk")]


class KmsPorts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-ports-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kms = house.Kms(self.folder / "kms", identity="sip:kms@example.com")
        self.addCleanup(lambda: self.kms.daemon.kill())

    def configure(self, sections, roles=None):
        """Starts the KMS anew with these sections added; `roles` replaces [roles]."""
        self.kms.stop()
        text = self.kms.config.read_text()
        if roles is not None:
            text = re.sub(r"\[roles\]\n(.+\n)*", house.toml({"roles": roles}), text)
        for name, keys in sections.items():
            lines = house.toml({name: keys})
            if f"[{name}]\n" in text:
                text = text.replace(f"[{name}]\n", lines)
            else:
                text += "\n" + lines
        self.kms.config.write_text(text)
        self.kms.start()

    def ctl(self, certificate, *arguments):
        return processes.run("kmsctl", "--server", self.kms.daemon.addresses["admin"],
                             "--ca", self.kms.ca, "--cert", self.kms.tls / f"{certificate}.pem",
                             "--key", self.kms.tls / f"{certificate}.key", *arguments)

    def tls_connection(self, highest=None, certificate=None):
        context = ssl.create_default_context(cafile=self.kms.ca)
        context.set_alpn_protocols(["h2"])
        if highest is not None:
            context.maximum_version = highest
        if certificate is not None:
            context.load_cert_chain(self.kms.tls / f"{certificate}.pem",
                                    self.kms.tls / f"{certificate}.key")
        ip, port = self.kms.ticket_address.rsplit(":", 1)
        plain = socket.create_connection((ip, int(port)), timeout=10)
        return context.wrap_socket(plain, server_hostname="localhost")

    # ---- roles

    def test_each_role_does_its_own_and_no_more(self):
        """KMS-7: admin, operator and auditor by the names in their certificates."""
        self.configure({"admin": {"listen": "127.0.0.1:0"}},
                       roles={"admin": ["kms-admin"], "operator": ["mrfc"], "auditor": ["ue"]})
        may = {"kms-admin": (0, 0, 0), "mrfc": (0, 0, 5), "ue": (0, 5, 5), "mrfp": (5, 5, 5)}
        for number, (name, codes) in enumerate(may.items()):
            with self.subTest(certificate=name):
                self.assertEqual(self.ctl(name, "identity", "list").returncode, codes[0])
                self.assertEqual(self.ctl(name, "identity", "create",
                                          f"sip:u{number}@example.com").returncode, codes[1])
                self.assertEqual(self.ctl(name, "tpk", "prepare").returncode, codes[2])
        denied = {(line["caller"], line["detail"]) for line in self.kms.audit()
                  if (line["operation"], line["decision"], line["rule"]) == ("call", "refused", "role")}
        self.assertEqual(denied, {(caller, "/keystub.v1.IdentityAdmin/" + method)
                                  for caller, method in DENIED})

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_a_user_on_the_unix_socket_has_the_role_of_its_uid(self):
        """KMS-7: the kernel says who calls; others are let in by their role or not at all."""
        public = tempfile.TemporaryDirectory(prefix="keystub-public-")
        self.addCleanup(public.cleanup)
        os.chmod(public.name, 0o755)
        path = pathlib.Path(public.name) / "admin.sock"
        text = self.kms.config.read_text()
        self.kms.config.write_text(text.replace('unix_socket = "admin.sock"',
                                                f'unix_socket = "{path}"'))
        self.configure({}, roles={"auditor": ["uid:65534"]})
        kmsctl = pathlib.Path(public.name) / "kmsctl"
        kmsctl.write_bytes((processes.BIN / "kmsctl").read_bytes())
        kmsctl.chmod(0o755)

        def call(uid, *arguments):
            return subprocess.run([kmsctl, "--socket", path, "--timeout", "3s", *arguments],
                                  user=uid, capture_output=True, timeout=30, check=False,
                                  cwd="/").returncode

        self.assertEqual(call(65534, "identity", "list"), 0)
        self.assertEqual(call(65534, "identity", "create", ALICE), 5)
        self.assertEqual(call(65533, "identity", "list"), 10)
        self.assertEqual(call(0, "identity", "create", ALICE), 0)

    # ---- TLS

    def test_tls_1_2_is_refused_unless_it_is_allowed(self):
        """KMS-7: TLS 1.3 is the default, on the daemon itself."""
        self.assertEqual(self.tls_connection().version(), "TLSv1.3")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.tls_connection(ssl.TLSVersion.TLSv1_2)
        self.configure({"connections": {"min_tls": "1.2"}})
        self.assertEqual(self.tls_connection(ssl.TLSVersion.TLSv1_2).version(), "TLSv1.2")

    def served_certificate(self):
        with self.tls_connection() as connection:
            return connection.getpeercert(binary_form=True)

    def test_a_new_certificate_is_taken_up_without_a_restart(self):
        """KMS-7: the KMS serves what lies in its files; connections that stand are left alone."""
        self.configure({"connections": {"reload_interval": "1s"}})
        before = self.served_certificate()
        other = house.Kms(self.folder / "other", identity="sip:kms@example.com")
        self.addCleanup(lambda: other.daemon.kill())
        # All of it, and so the CA as well: the folder changes in one step.
        os.rename(self.kms.tls, self.folder / "old-tls")
        os.rename(other.tls, self.kms.tls)
        self.kms.ca = self.kms.tls / "ca.pem"

        def is_new():
            try:
                return self.served_certificate() != before
            except ssl.SSLError:  # still the old certificate, under the old CA
                return False

        self.assertTrue(wait_until(is_new), self.kms.daemon.log())
        self.assertTrue(self.kms.daemon.running())

    def test_a_pair_that_does_not_belong_together_is_not_taken_up(self):
        """KMS-7: half a renewal, or a wrong file, ends no service; operators are told."""
        self.configure({"connections": {"reload_interval": "1s"},
                        "metrics": {"listen": "127.0.0.1:0"}})
        before = self.served_certificate()
        certificate = self.kms.tls / "kms.pem"
        good = certificate.read_bytes()

        def healthy():
            return 'component_healthy{component="certificates"} 1' in self.get("/metrics")[1]

        self.assertTrue(healthy())
        for wrong in (b"junk", (self.kms.tls / "mrfc.pem").read_bytes()):
            certificate.write_bytes(wrong)
            self.assertTrue(wait_until(lambda: not healthy()), self.kms.daemon.log())
            time.sleep(1.5)  # what would be taken up is taken up by now
            self.assertEqual(self.served_certificate(), before)
            self.assertEqual(self.get("/readyz"), (200, "ok\n"))
            found = {one["check"]: one for one in json.loads(
                self.kms.ctl("--output", "json", "doctor").stdout) if one["level"] == "FAULT"}
            self.assertIn("kms.", found["certificate"]["text"])
            certificate.write_bytes(good)
            self.assertTrue(wait_until(healthy), self.kms.daemon.log())
        self.assertIn("what was read before stays", self.kms.daemon.log())
        self.assertIn("certificate files that changed are in force", self.kms.daemon.log())

    def write_crl(self, *revoked, valid=DAY):
        """A revocation list of the lab CA in its file; revoked: names of certificates."""
        ca = x509.load_pem_x509_certificate(self.kms.ca.read_bytes())
        key = serialization.load_pem_private_key((self.kms.tls / "ca.key").read_bytes(), None)
        now = datetime.datetime.utcnow()
        builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(
            now - 2 * DAY).next_update(now + valid)
        for name in revoked:
            certificate = x509.load_pem_x509_certificate(
                (self.kms.tls / f"{name}.pem").read_bytes())
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
                .revocation_date(now - DAY).build())
        text = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        draft = self.kms.tls / "crl.new"
        draft.write_bytes(text)
        draft.rename(self.kms.tls / "crl.pem")

    def test_a_revoked_certificate_is_refused_as_soon_as_the_list_says_so(self):
        """KMS-7: without a restart; and where no list is current nobody is let in."""
        self.write_crl()
        self.configure({"admin": {"listen": "127.0.0.1:0", "client_crl": "tls/crl.pem"}},
                       roles={"admin": ["kms-admin", "mrfc"]})

        def code(name):
            return self.ctl(name, "--timeout", "3s", "identity", "list").returncode

        self.assertEqual((code("kms-admin"), code("mrfc")), (0, 0))
        self.write_crl("mrfc")
        self.assertEqual((code("kms-admin"), code("mrfc")), (0, 10))
        (self.kms.tls / "crl.pem").write_text("no list")  # what was known still holds
        self.assertEqual((code("kms-admin"), code("mrfc")), (0, 10))
        self.write_crl(valid=-DAY)
        self.assertEqual((code("kms-admin"), code("mrfc")), (10, 10))

    def test_a_list_that_the_ca_did_not_sign_is_refused_at_the_start(self):
        """A wrong file is named, instead of handshakes that fail later."""
        (self.kms.tls / "crl.pem").write_text("no list")
        with self.assertRaisesRegex(processes.Failure, "crl.pem"):
            self.configure({"tickets": {"client_crl": "tls/crl.pem"}})

    def test_a_large_message_is_refused_and_the_port_goes_on(self):
        """KMS-7: the size of a message is limited before anything is done with it."""
        self.configure({"connections": {"max_message": "4KiB"}})
        key = self.kms.create_identity(ALICE, self.folder)
        request = ("kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca, "ticket",
                   "request", "--identity", ALICE, "--kms", self.kms.identity, "--psk-file", key)
        many = [argument for number in range(100)
                for argument in ("--responder", f"sip:user-{number}-{'x' * 50}@example.com")]
        self.assertEqual(processes.run(*request, *many).returncode, 9)
        self.assertEqual(processes.run(*request, "--responder", BOB).returncode, 0)

    # ---- health

    def get(self, path):
        connection = http.client.HTTPConnection(self.kms.daemon.addresses["metrics"], timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def test_probes_and_metrics_over_http(self):
        """/livez, /readyz and /metrics; other paths and methods are refused."""
        self.configure({"metrics": {"listen": "127.0.0.1:0"}})
        self.assertEqual(self.get("/livez"), (200, "ok\n"))
        self.assertEqual(self.get("/readyz"), (200, "ok\n"))
        status, page = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("keystub_ready 1", page)
        self.assertEqual(self.get("/")[0], 404)
        self.assertEqual(self.get("/metrics/x")[0], 404)
        connection = http.client.HTTPConnection(self.kms.daemon.addresses["metrics"], timeout=10)
        connection.request("POST", "/metrics", "x")
        self.assertEqual(connection.getresponse().status, 405)

    def test_every_metric_is_in_the_documentation_and_the_other_way_round(self):
        """docs/kms-server.md has a table of metrics; this is what keeps it true."""
        self.configure({"metrics": {"listen": "127.0.0.1:0"}})
        shown = set(re.findall(r"^# TYPE (\S+)", self.get("/metrics")[1], re.M))
        text = (pathlib.Path(__file__).resolve().parents[2] / "docs/kms-server.md").read_text()
        table = text.partition("## Metrics\n")[2].partition("\n## ")[0]
        documented = set(re.findall(r"^\| `(keystub_\w+)", table, re.M))
        self.assertEqual(shown, documented)

    def test_a_lost_replay_window_is_told_by_the_probes(self):
        """KMS-6: not ready as long as every message is refused, with the reason; alive all the time."""
        self.kms.stop()
        (self.kms.data / "replay.window").unlink()
        self.kms.start()
        self.configure({"metrics": {"listen": "127.0.0.1:0"}})
        status, text = self.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("clock: messages are refused until", text)
        self.assertEqual(self.get("/livez")[0], 200)
        health = processes.run("kms-server", "healthcheck", "--config", self.kms.config)
        self.assertEqual(health.returncode, 10)
        self.assertIn("clock: messages are refused until", health.stderr)


if __name__ == "__main__":
    unittest.main()
