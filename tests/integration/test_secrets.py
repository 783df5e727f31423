"""No key of a run appears where it does not belong: logs, audit, databases, SDPs, argv."""

import base64
import pathlib
import re
import sqlite3
import sys
import tempfile
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import house

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop/kms"))
import mikey_ticket  # noqa: E402

# Files that are there to hold a key.
KEY_FILES = {".psk", ".tpk", ".key"}


def key_mgmt(sdp_file):
    """The MIKEY message in an SDP."""
    return base64.b64decode(re.search(r"a=key-mgmt:mikey (\S+)", sdp_file.read_text()).group(1))


class Secrets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Mode 3: with the TPK in a file the test can follow every key of a session.
        self.all = house.Everything(self.folder, mode_3=True)
        self.addCleanup(self.all.stop)

    def keys_in_files(self):
        keys = {}
        for path in self.folder.rglob("*"):
            if path.suffix in (".psk", ".tpk"):
                keys[str(path)] = bytes.fromhex(path.read_text().strip())
        keys["kek"] = (self.all.kms.data / "kek").read_bytes()  # 32 octets, any of them
        return keys

    def own_tpks(self, kek):
        """The ticket protection keys of the KMS, as kms-server/kek.h wraps them."""
        database = sqlite3.connect(f"file:{self.all.kms.data / 'kms.db'}?mode=ro", uri=True)
        rows = database.execute("SELECT tpk_id, wrapped FROM tpks WHERE owner_id IS NULL").fetchall()
        database.close()
        keys = {}
        for tpk_id, wrapped in rows:
            bound = b"\x01" + b"".join(len(part).to_bytes(4, "big") + part
                                       for part in (b"own-tpk", b"", tpk_id))
            keys["TPK " + tpk_id.hex()] = AESGCM(kek).decrypt(wrapped[1:13], wrapped[13:], bound)
        return keys

    def tls_keys(self):
        """The private numbers of all TLS keys."""
        for path in (self.all.kms.data / "tls").glob("*.key"):
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            yield str(path), key.private_numbers().private_value.to_bytes(32, "big")

    def places(self):
        """(name, content) of everything that must not hold a key."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix not in KEY_FILES and path.name != "kek":
                yield str(path), path.read_bytes()
        for daemon in (self.all.kms.daemon, self.all.mrfp.daemon, self.all.mrfc.daemon):
            yield f"argv of {daemon.name}", pathlib.Path(f"/proc/{daemon.pid}/cmdline").read_bytes()

    def test_no_key_leaves_its_place(self):
        """KMS-3, MRFC-B8: every key used in calls of both directions, in three encodings."""
        issuer = self.all.mrfc
        session, alice = issuer.dial_out(self.all.alice, "--timeout", 30, "--send", "hello",
                                         "--expect", 1)
        self.addCleanup(alice.stop)
        self.assertEqual(issuer.take_answer(session, alice).returncode, 0)
        alice.finish()
        done, bob = issuer.dial_in(self.all.bob, "--timeout", 30, "--send", "hello", "--expect", 1)
        self.addCleanup(bob.stop)
        self.assertEqual(done.returncode, 0, done.stderr)
        bob.finish()
        # Refusals write more than successes do.
        issuer.dial_in(self.all.bob, "--timeout", 1, "--lab-tamper-ticket")

        keys = self.keys_in_files()
        self.assertGreaterEqual(len(keys), 5)
        tpk = next(key for name, key in keys.items() if name.endswith(".tpk"))
        keys |= mikey_ticket.transfer_keys(tpk, key_mgmt(alice.offer_file),
                                           key_mgmt(alice.answer_file))
        tpks = self.own_tpks(keys["kek"])
        self.assertEqual(len(tpks), 1)
        keys |= tpks | dict(self.tls_keys())
        # A backup is a place as well, and doctor has looked at everything.
        self.all.kms.ctl_ok("backup", "create", "one")
        (self.folder / "doctor.out").write_text(self.all.kms.ctl_ok("doctor"))
        places = list(self.places())
        self.assertTrue(any("backups/one" in name for name, _ in places))
        self.assertTrue(any("kms.db" in name for name, _ in places))
        self.assertTrue(any("audit.jsonl" in name for name, _ in places))
        for name, key in keys.items():
            self.assertGreaterEqual(len(key), 16, name)
            forms = {"raw": key, "hex": key.hex().encode(), "HEX": key.hex().upper().encode(),
                     "base64": base64.b64encode(key).rstrip(b"=")}
            for place, content in places:
                for form, octets in forms.items():
                    self.assertNotIn(octets, content, f"{name} ({form}) in {place}")

    def test_the_search_finds_what_is_there(self):
        """The searcher is tested first: identities do appear in logs and audit."""
        self.all.alice.offer("sip:nobody@example.com", "--timeout", 1).wait(10)
        found = [place for place, content in self.places()
                 if self.all.alice.uri.encode() in content]
        self.assertTrue(any("audit.jsonl" in place for place in found), found)
        self.assertTrue(any("kms.db" in place for place in found), found)

    def test_key_files_are_for_their_owner_alone(self):
        """KMS-3: mode 0600 for every key, and for what the daemons write."""
        for path in self.folder.rglob("*"):
            if path.suffix in KEY_FILES or path.name in ("kek", "kms.db", "audit.jsonl",
                                                         "replay.window"):
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)


if __name__ == "__main__":
    unittest.main()
