"""What a KMS must not forget, and what must take effect at once."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import house
import processes

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


class KmsState(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-state-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kms = house.Kms(self.folder / "kms", identity="sip:kms@example.com")
        self.addCleanup(lambda: self.kms.daemon.kill())
        self.alice_key = self.kms.create_identity(ALICE, self.folder)
        self.bob_key = self.kms.create_identity(BOB, self.folder)

    def request(self, *arguments):
        return self.kms.ticket("request", ALICE, self.alice_key, "--responder", BOB, *arguments)

    def test_suspended_identity_is_refused_at_once(self):
        """KMS-1, KMS-2: from the acknowledgement on, and again after resume."""
        transfer = self.folder / "transfer"
        self.assertEqual(self.request("--transfer-init", transfer).returncode, 0)
        resolve = ("resolve", BOB, self.bob_key, "--transfer-init", transfer)
        self.assertEqual(self.kms.ticket(*resolve).returncode, 0)

        self.kms.ctl_ok("identity", "suspend", BOB)
        self.assertNotEqual(self.kms.ticket(*resolve).returncode, 0)
        self.kms.ctl_ok("identity", "suspend", ALICE)
        self.assertNotEqual(self.request().returncode, 0)

        self.kms.ctl_ok("identity", "resume", ALICE)
        self.kms.ctl_ok("identity", "resume", BOB)
        self.assertEqual(self.request().returncode, 0)
        self.assertEqual(self.kms.ticket(*resolve).returncode, 0)

    def test_deleted_identity_and_replaced_key_are_refused_at_once(self):
        """KMS-1: the old key counts no more."""
        self.assertEqual(self.request().returncode, 0)
        new_key = self.folder / "new.psk"
        self.kms.ctl_ok("identity", "set-psk", ALICE, "--new-psk", new_key)

        def with_new_key():
            return self.kms.ticket("request", ALICE, new_key, "--responder", BOB)
        self.assertEqual(self.request().returncode, 4)
        self.assertEqual(with_new_key().returncode, 0)
        self.kms.ctl_ok("identity", "delete", ALICE)
        self.assertEqual(with_new_key().returncode, 4)

    def test_unshared_tpk_no_longer_resolves(self):
        """KMS-8: tickets under a TPK that was taken back."""
        alice = house.User(self.kms, self.folder / "carol", "sip:carol@example.com", mode_3=True)
        bob = house.User(self.kms, self.folder / "dave", "sip:dave@example.com")
        offer = alice.offer(bob.uri, "--self-issued", "--timeout", 20)
        self.addCleanup(offer.stop)
        offer.wait_event("offer made")
        self.kms.ctl_ok("tpk", "unshare", "--identity", alice.uri)
        answer = bob.answer(offer.offer_file, "--timeout", 20)
        self.assertNotEqual(answer.wait(20), 0)
        self.assertEqual(answer.events("answer made"), [])

    def test_tpk_is_rotated_and_revoked_by_an_operator(self):
        """KMS-3: old tickets resolve after a rotation, and not after a revocation."""
        transfer = self.folder / "transfer"
        self.assertEqual(self.request("--transfer-init", transfer).returncode, 0)
        resolve = ("resolve", BOB, self.bob_key, "--transfer-init", transfer)
        [first] = json.loads(self.kms.ctl_ok("--output", "json", "tpk", "show"))
        self.assertEqual(first["state"], "active")
        self.assertEqual(self.kms.ctl("tpk", "revoke", first["tpk_id"]).returncode, 7)

        second = json.loads(self.kms.ctl_ok("--output", "json", "tpk", "prepare"))
        self.kms.ctl_ok("tpk", "activate", second["tpk_id"])
        self.assertEqual(self.kms.ticket(*resolve).returncode, 0)
        self.kms.ctl_ok("tpk", "revoke", first["tpk_id"])
        self.assertNotEqual(self.kms.ticket(*resolve).returncode, 0)
        states = {tpk["tpk_id"]: tpk["state"]
                  for tpk in json.loads(self.kms.ctl_ok("--output", "json", "tpk", "show"))}
        self.assertEqual(states, {first["tpk_id"]: "revoked", second["tpk_id"]: "active"})
        self.assertEqual(self.request("--transfer-init", self.folder / "new").returncode, 0)
        self.assertEqual(self.kms.ticket("resolve", BOB, self.bob_key, "--transfer-init",
                                     self.folder / "new").returncode, 0)
        self.kms.daemon.kill()
        self.kms.start()
        self.assertNotEqual(self.kms.ticket(*resolve).returncode, 0)

    def test_kill_and_restart_forgets_nothing(self):
        """KMS-6: kill -9: what was acknowledged is there, audited, and new messages pass."""
        bob = house.User(self.kms, self.folder / "dave", "sip:dave@example.com")
        self.assertEqual(self.request().returncode, 0)
        uris = [f"sip:user{number}@example.com" for number in range(20)]
        for uri in uris:
            self.kms.ctl_ok("identity", "create", uri)
        granted = len([line for line in self.kms.audit() if line["decision"] == "granted"])
        self.kms.daemon.kill()
        self.kms.start()

        listed = self.kms.ctl_ok("--output", "json", "identity", "list")
        for uri in uris + [ALICE, BOB, bob.uri]:
            self.assertIn(f'"{uri}"', listed)
        self.assertGreaterEqual(
            len([line for line in self.kms.audit() if line["decision"] == "granted"]), granted)
        # A clean window: new messages pass at once.
        self.assertEqual(self.request().returncode, 0)
        self.assertNotIn("was lost", self.kms.daemon.log())

    def test_damaged_key_encryption_key_is_refused_before_anything_is_written(self):
        """KMS-3: a KEK that is not this database's; the old one still opens it."""
        self.assertEqual(self.kms.stop(), 0)
        kek = self.kms.data / "kek"
        right = kek.read_bytes()
        database = (self.kms.data / "kms.db").read_bytes()
        kek.write_bytes(os.urandom(32).hex().encode() + b"\n" if right[:1].isalnum()
                        and len(right) > 60 else os.urandom(len(right)))
        with self.assertRaises(processes.Failure):
            self.kms.start()
        self.assertEqual((self.kms.data / "kms.db").read_bytes(), database)
        kek.write_bytes(right)
        self.kms.start()
        self.assertEqual(self.request().returncode, 0)

    def test_audit_is_a_chain_over_restarts_and_a_changed_line_is_found(self):
        """KMS-1: kmsctl audit verify, tail and search on the file of a KMS."""
        self.assertEqual(self.request("--trace-id", "trace-one").returncode, 0)
        self.assertEqual(self.kms.stop(), 0)
        self.kms.start()
        self.assertEqual(self.request().returncode, 0)
        file = self.kms.data / "audit.jsonl"
        told = json.loads(processes.run_ok("kmsctl", "--output", "json", "audit", "verify", file))
        lines = file.read_text().splitlines()
        self.assertEqual(told["lines"], len(lines))
        self.assertEqual(told["digest"], json.loads(lines[-1])["chain"])

        found = processes.run_ok("kmsctl", "--output", "json", "audit", "search", file,
                                 "--trace", "trace-one", "--identity", "alice")
        self.assertEqual([json.loads(line)["operation"] for line in found.splitlines()], ["request"])
        last = processes.run_ok("kmsctl", "--output", "json", "audit", "tail", file, "--lines", 1)
        self.assertEqual(json.loads(last), json.loads(lines[-1]))

        changed = self.folder / "changed.jsonl"
        changed.write_text(file.read_text().replace("trace-one", "trace-two"))
        refused = processes.run("kmsctl", "audit", "verify", changed)
        self.assertEqual(refused.returncode, 7, refused.stderr)
        self.assertIn("changed.jsonl:", refused.stderr)
#Cut off at the end : the chain alone cannot tell, an earlier digest can.
        cut = self.folder / "cut.jsonl"
        cut.write_text("\n".join(lines[:-1]) + "\n")
        self.assertEqual(processes.run("kmsctl", "audit", "verify", cut).returncode, 0)
        self.assertEqual(processes.run("kmsctl", "audit", "verify", cut, "--digest",
                                       told["digest"]).returncode, 7)

    def test_second_daemon_on_the_same_data_is_refused(self):
        """KMS-6: two processes must not share one replay memory."""
        second = subprocess.run(
            [processes.BIN / "kms-server", "run", "--config", self.kms.config,
             "--ready-file", self.folder / "second"], capture_output=True, timeout=30, check=False)
        self.assertNotEqual(second.returncode, 0)
        self.assertEqual(self.request().returncode, 0)


if __name__ == "__main__":
    unittest.main()
