"""The public-key variants with real binaries: certificates and revocation lists made by openssl."""

import json
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import authority
import house
import processes

KMS = "sip:kms@example.com"
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def sha256_of(certificate):
    done = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint",
                           "-sha256"], check=True, capture_output=True, text=True)
    return done.stdout.strip().split("=")[1]


class KmsCertificates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-certificates-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.users = authority.Authority(self.folder / "users", "users")
        self.kms_certificate, self.kms_key = self.users.issue(KMS, "kms")
        self.crl = self.folder / "crl.pem"
        self.users.write_list(self.crl)
        self.kms = house.Kms(self.folder / "kms", identity=KMS)
        self.addCleanup(lambda: self.kms.daemon.kill())
        self.kms.configure_certificates(self.kms_certificate, self.kms_key,
                                        self.users.certificate, self.crl)
        for uri in (ALICE, BOB):
            self.kms.ctl_ok("identity", "create", uri)

    def ticket(self, verb, identity, pair, *arguments):
        certificate, key = pair
        return processes.run(
            "kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca, "ticket", verb,
            "--identity", identity, "--kms", KMS, "--identity-cert", certificate,
            "--identity-key", key, "--kms-cert", self.kms_certificate, *arguments)

    def request(self, identity, pair, *arguments):
        return self.ticket("request", identity, pair, "--responder", BOB, *arguments)

    def hang_up(self):
        """SIGHUP, and waits until the KMS has taken it."""
        before = self.kms.daemon.log().count("configuration reloaded")
        self.kms.daemon.popen.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while self.kms.daemon.log().count("configuration reloaded") == before:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_request_and_resolve_with_certificates(self):
        """KMS-1, KMS-2: neither end has a pre-shared key."""
        alice, bob = self.users.issue(ALICE, "alice"), self.users.issue(BOB, "bob")
        init = self.folder / "transfer"
        done = self.request(ALICE, alice, "--transfer-init", init)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.ticket("resolve", BOB, bob, "--transfer-init", init)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"verified, from {ALICE}", done.stdout)

        lines = [line for line in self.kms.audit() if line["operation"] in ("request", "resolve")]
        self.assertEqual([line["method"] for line in lines], ["pk", "pk"])
        self.assertEqual([line["certificate"] for line in lines],
                         [sha256_of(one).replace(":", "").lower() for one, _ in (alice, bob)])
        # No line of a private key is where it does not belong.
        secret = [line for file in (self.kms_key, alice[1], bob[1])
                  for line in file.read_text().splitlines() if "PRIVATE" not in line]
        seen = self.kms.daemon.log() + (self.kms.data / "audit.jsonl").read_text()
        database = (self.kms.data / "kms.db").read_bytes()
        self.assertFalse([line for line in secret if line in seen or line.encode() in database])

    def test_a_revoked_certificate_is_refused_after_a_signal(self):
        """KMS-7: and looks from outside as if its identity were not there."""
        alice, nobody = self.users.issue(ALICE, "alice"), self.users.issue("sip:no@b.org", "nobody")
        self.assertEqual(self.request(ALICE, alice).returncode, 0)
        self.users.revoke(alice[0])
        self.users.write_list(self.crl)
        self.hang_up()
        revoked = self.request(ALICE, alice)
        self.assertEqual(revoked.returncode, 4, revoked.stderr)
        line = self.kms.audit()[-1]
        self.assertEqual((line["rule"], line["method"]), ("certificate", "pk"))
        self.assertIn("certificate revoked", line["reason"])
        unknown = self.request("sip:no@b.org", nobody)
        self.assertEqual((unknown.returncode, unknown.stderr), (4, revoked.stderr))
        self.assertEqual(self.kms.audit()[-1]["rule"], "unknown")

    def test_a_pinned_certificate_counts_until_it_is_removed(self):
        """KMS-1: from an authority that the KMS does not know."""
        elsewhere = authority.Authority(self.folder / "elsewhere", "elsewhere")
        alice = elsewhere.issue(ALICE, "alice")
        self.assertEqual(self.request(ALICE, alice).returncode, 4)
        done = self.kms.ctl("identity", "add-certificate", BOB, alice[0])
        self.assertEqual(done.returncode, 3, done.stderr)
        self.kms.ctl_ok("identity", "add-certificate", ALICE, alice[0])
        self.assertEqual(self.request(ALICE, alice).returncode, 0)
        fingerprint = sha256_of(alice[0])
        [shown] = json.loads(self.kms.ctl_ok("--output", "json", "identity", "show", ALICE)
                             )["certificates"]
        self.assertIn(fingerprint.replace(":", "").lower() + " CN=alice until ", shown)
        self.kms.ctl_ok("identity", "remove-certificate", ALICE, "--fingerprint", fingerprint)
        self.assertEqual(self.request(ALICE, alice).returncode, 4)

    def test_files_that_cannot_be_used_leave_the_kms_as_it_was(self):
        """A key that is not the certificate's: the log and doctor say so, and all goes on."""
        alice = self.users.issue(ALICE, "alice")
        self.kms_key.write_bytes(alice[1].read_bytes())
        self.hang_up()
        self.assertIn("what was read before stays", self.kms.daemon.log())
        self.assertEqual(self.request(ALICE, alice).returncode, 0)
        processes.run_ok("kms-server", "healthcheck", "--config", self.kms.config)
        findings = [one for one in json.loads(
            self.kms.ctl("--output", "json", "doctor").stdout) if one["check"] == "pk"]
        self.assertEqual([one["level"] for one in findings], ["FAULT"], findings)
        self.assertIn(str(self.kms_key), findings[0]["text"])


if __name__ == "__main__":
    unittest.main()
