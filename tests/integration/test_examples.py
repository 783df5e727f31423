"""The library's example programs, chained by lib/mikey/examples/call.sh as its manual says."""

import json
import os
import pathlib
import re
import subprocess
import unittest

import processes

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "lib/mikey"
CALL = LIBRARY / "examples/call.sh"
SHARED = re.compile(r"^(alice|bob): shared with (\S+): the key with SHA-256 ([0-9a-f]{64})$", re.M)


def call(*arguments, **environment):
    return subprocess.run([CALL, processes.BIN, *arguments], text=True, timeout=30, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **environment})


class Examples(unittest.TestCase):
    def messages(self, done):
        return re.findall(r"^([A-Z_]+), \d+ octets$", done.stdout, re.M)

    def shared_key(self, done):
        """The hash that both ends print, each with the other's name."""
        self.assertEqual(done.returncode, 0, done.stdout)
        found = {who: (peer, key) for who, peer, key in SHARED.findall(done.stdout)}
        self.assertEqual(found["alice"][0], "sip:bob@example.com")
        self.assertEqual(found["bob"][0], "sip:alice@example.com")
        self.assertEqual(found["alice"][1], found["bob"][1])
        return found["alice"][1]

    def test_call_in_mode_1_ends_with_one_key_at_both_ends(self):
        done = call("initiator")
        self.assertEqual(self.messages(done),
                         ["REQUEST_INIT_PSK", "REQUEST_RESP", "TRANSFER_INIT", "RESOLVE_INIT_PSK",
                          "RESOLVE_RESP", "TRANSFER_RESP"])
        self.assertNotEqual(self.shared_key(done), self.shared_key(call("initiator")))

    def test_call_in_mode_3_needs_no_ticket_request(self):
        done = call("self-issued")
        self.assertEqual(self.messages(done), ["TRANSFER_INIT", "RESOLVE_INIT_PSK", "RESOLVE_RESP",
                                               "TRANSFER_RESP"])
        self.shared_key(done)

    def test_wrong_key_ends_in_a_mikey_error_that_each_side_can_read(self):
        done = call("initiator", ALICE_PSK="00" * 32)
        self.assertEqual(done.returncode, 1)
        self.assertIn("kms: the MAC does not verify", done.stdout)
        self.assertIn("RFC 6043 5.5", done.stdout)
        self.assertIn("alice: the other side answered with a MIKEY Error: Auth failure",
                      done.stdout)
        self.assertEqual(SHARED.findall(done.stdout), [])

    def test_kms_says_what_it_refuses_and_goes_on(self):
        """No hex, no message, then one of another day: that has a header to answer with."""
        vectors = json.loads((LIBRARY / "vectors/keystub-mikey-1.json").read_text())
        old = vectors["exchanges"]["mode1-256-forking"]["messages"]["REQUEST_INIT"]
        done = processes.run("example-kms", "sip:kms@example.com", "/dev/null", "/dev/null",
                             stdin=f"so\n00\n{old}\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        no_hex, no_message, not_fresh = done.stderr.splitlines()
        self.assertIn("hex", no_hex)
        self.assertIn("MIKEY version 0", no_message)
        self.assertEqual(not_fresh, "the message is not of now; are both clocks set?")
        answer, = done.stdout.splitlines()
        self.assertRegex(processes.run_ok("example-inspect", stdin=answer), "^Error message, ")

    def test_inspect_names_what_it_cannot_read(self):
        self.assertIn("(MIKEY message, payload HDR, octet 0,",
                      processes.run_ok("example-inspect", stdin="\n"))
