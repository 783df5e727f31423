"""kmsctl: every verb, both forms of output, the exit codes."""

import json
import os
import pathlib
import stat
import tempfile
import unittest

import house
import processes

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


class Kmsctl(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-kmsctl-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-kmsctl-kms-")
        cls.addClassCleanup(folder.cleanup)
        cls.kms = house.Kms(pathlib.Path(folder.name) / "kms", identity="sip:kms@example.com")
        cls.addClassCleanup(cls.kms.stop)
        cls.made = 0

    def fresh_uri(self):
        type(self).made += 1
        return f"sip:fresh{self.made}@example.com"

    def json(self, *arguments):
        return json.loads(self.kms.ctl_ok("--output", "json", *arguments))

    def code(self, *arguments, **options):
        return self.kms.ctl(*arguments, **options).returncode

    def test_identity_lives_through_all_verbs(self):
        """KMS-1: create, show, list, suspend, resume, set-psk, delete."""
        uri = self.fresh_uri()
        key_file = self.folder / "key"
        created = self.json("identity", "create", uri, "--kind", "mrfc", "--new-psk", key_file)
        self.assertEqual((created["uri"], created["kind"], created["state"]),
                         (uri, "mrfc", "active"))
        self.assertEqual(stat.S_IMODE(key_file.stat().st_mode), 0o600)
        self.assertEqual(len(bytes.fromhex(key_file.read_text().strip())), 32)
        self.assertEqual(self.json("identity", "show", uri)["uri"], uri)
        self.assertIn(uri, [one["uri"] for one in self.json("identity", "list")])
        self.assertEqual(self.json("identity", "suspend", uri)["state"], "suspended")
        self.assertEqual(self.json("identity", "resume", uri)["state"], "active")
        changed = self.json("identity", "set-psk", uri, "--new-psk", self.folder / "second",
                            "--psk-id", "second")
        self.assertIn("second", changed["psk_ids"])
        self.kms.ctl_ok("identity", "delete", uri)
        self.assertEqual(self.code("identity", "show", uri), 6)

    def test_table_shows_what_json_shows(self):
        """KMS-1: the form for people."""
        uri = self.fresh_uri()
        self.kms.ctl_ok("identity", "create", uri)
        shown = self.kms.ctl_ok("identity", "show", uri)
        for word in (uri, "user", "active"):
            self.assertIn(word, shown)
        self.assertIn(uri, self.kms.ctl_ok("identity", "list"))

    def test_list_by_prefix_over_several_pages(self):
        """KMS-1: more identities than a page holds, each once."""
        uris = [f"sip:paged{number:03}@example.com" for number in range(120)]
        for uri in uris:
            self.kms.ctl_ok("identity", "create", uri)
        listed = [one["uri"] for one in self.json("identity", "list", "--prefix", "sip:paged")]
        self.assertEqual(sorted(listed), uris)

    def test_exit_codes(self):
        """Each way to fail has its number (kmsctl --help)."""
        uri = self.fresh_uri()
        self.kms.ctl_ok("identity", "create", uri)
        self.assertEqual(self.code("identity", "create", uri), 7)              # exists
        self.assertEqual(self.code("identity", "show", "sip:no@example.com"), 6)
        self.assertEqual(self.code("identity", "create", "no uri at all"), 3)
        self.assertEqual(self.code("identity", "frobnicate", uri), 2)
        self.assertEqual(self.code("identity", "create"), 2)
        self.assertEqual(self.code("tpk", "unshare", "--identity", uri), 6)
        gone = processes.run("kmsctl", "--socket", self.folder / "nobody.sock", "--timeout", "1s",
                             "identity", "list")
        self.assertEqual(gone.returncode, 10)
        for done in (gone, self.kms.ctl("identity", "show", "sip:no@example.com")):
            self.assertRegex(done.stderr, "^kmsctl: ")

    def test_keys_come_from_files_or_standard_input(self):
        """Never from argv; a file that others can read is refused."""
        uri = self.fresh_uri()
        key = os.urandom(32).hex()
        self.assertEqual(self.code("identity", "create", uri, "--psk-file", "-", stdin=key), 0)
        open_file = self.folder / "open"
        open_file.write_text(key)
        open_file.chmod(0o644)
        self.assertEqual(self.code("identity", "set-psk", uri, "--psk-file", open_file), 5)
        self.assertEqual(self.code("identity", "set-psk", uri, "--psk-file",
                                   self.folder / "missing"), 6)
        self.assertEqual(self.code("identity", "set-psk", uri, "--psk-file", "-", stdin="0011"), 3)
        # An existing key is never overwritten.
        self.assertEqual(self.code("identity", "set-psk", uri, "--new-psk", open_file), 7)
        self.assertEqual(open_file.read_text(), key)

    def test_tpk_share_and_unshare(self):
        """KMS-8: a key for mode 3, shown once."""
        uri = self.fresh_uri()
        self.kms.ctl_ok("identity", "create", uri, "--kind", "mrfc")
        key_file, key_id = self.kms.share_tpk(uri, self.folder)
        self.assertEqual(len(bytes.fromhex(key_file.read_text().strip())), 32)
        self.assertIn(key_id, self.json("identity", "show", uri)["shared_tpk_ids"])
        self.assertEqual(int(self.json("tpk", "unshare", "--identity", uri)["removed"]), 1)

    def test_ticket_request_and_resolve(self):
        """KMS-1, KMS-2: by hand."""
        alice = self.kms.create_identity(ALICE, self.folder)
        bob = self.kms.create_identity(BOB, self.folder)
        transfer = self.folder / "transfer"

        ticket = self.kms.ticket
        requested = ticket("request", ALICE, alice, "--responder", BOB, "--transfer-init", transfer)
        self.assertEqual(requested.returncode, 0, requested.stderr)
        resolved = ticket("resolve", BOB, bob, "--transfer-init", transfer)
        self.assertEqual(resolved.returncode, 0, resolved.stderr)
        self.assertEqual(json.loads(resolved.stdout)["resolved_for"], BOB)
        # The initiator is no responder of its own ticket; a wrong key proves nothing.
        self.assertEqual(ticket("resolve", ALICE, alice, "--transfer-init", transfer).returncode, 5)
        self.assertEqual(ticket("request", ALICE, bob, "--responder", BOB).returncode, 4)

    def test_names_and_groups(self):
        """KMS-5, MRFC-I3: aliases, owned patterns, memberships, keys that end."""
        uri, group = self.fresh_uri(), self.fresh_uri()
        self.kms.ctl_ok("identity", "create", uri, "--kind", "mrfc")
        self.kms.ctl_ok("identity", "create", group, "--kind", "group")
        self.assertEqual(self.json("identity", "add-alias", uri, "tel:+49-89-99")["aliases"],
                         ["tel:+498999"])
        self.assertEqual(self.json("identity", "show", "tel:+498999")["uri"], uri)
        self.assertEqual(self.code("identity", "add-alias", group, "tel:+498999"), 7)
        owned = self.json("identity", "add-pattern", uri, "sip:room-*@example.com")
        self.assertEqual(owned["owned_patterns"], ["sip:room-*@example.com"])
        self.assertEqual(self.code("identity", "create", "sip:room-1@example.com"), 7)
        self.assertEqual(self.json("group", "add", group, uri)["groups"], [group])
        self.assertEqual(self.json("group", "members", group)["members"], [uri])
        self.assertEqual(self.json("group", "remove", group, uri)["groups"], [])
        self.assertEqual(self.json("identity", "remove-alias", uri, "tel:+498999")["aliases"], [])
        self.assertEqual(
            self.json("identity", "remove-pattern", uri, "sip:room-*@example.com")
            ["owned_patterns"], [])
        keyed = self.json("identity", "set-psk", uri, "--new-psk", self.folder / "gba",
                          "--psk-id", "hex:00ff", "--psk-validity", "24h")
        self.assertRegex(keyed["psk_expiries"][0], "^hex:00ff until 20")
        self.assertEqual(self.json("identity", "remove-psk", uri, "--psk-id", "hex:00ff")
                         ["psk_ids"], [])

    def test_policy_rules(self):
        """KMS-1, KMS-2: rules are set, explained, listed and deleted."""
        alice, bob = self.fresh_uri(), self.fresh_uri()
        for uri in (alice, bob):
            self.kms.ctl_ok("identity", "create", uri)
        explained = self.json("policy", "explain", "--from", alice, "--to", bob)
        self.assertEqual((explained["request"], explained["request_rule"]),
                         ("granted", "configuration"))
        made = self.json("policy", "set", "--identity", alice, "--responder", "none",
                         "--max-validity", "1h", "--forking", "optional")
        self.assertEqual((made["responders"], made["max_validity"], made["forking"]),
                         (["none"], "3600s", "optional"))
        explained = self.json("policy", "explain", "--from", alice, "--to", bob)
        self.assertEqual((explained["request"], explained["request_rule"]),
                         ("refused", f"identity {alice}"))
        self.assertEqual(self.json("policy", "show", "--identity", alice), made)
        self.assertIn(made, self.json("policy", "list"))
        self.assertEqual(self.code("policy", "set", "--responder", "*"), 3)
        self.assertEqual(self.code("policy", "set", "--default", "--suite", "64-bit"), 3)
        self.kms.ctl_ok("policy", "delete", "--identity", alice)
        self.assertEqual(self.code("policy", "delete", "--identity", alice), 6)

    def test_admin_port_needs_the_socket_or_a_certificate(self):
        """KMS-7: the ticket port serves no administration to anybody without a certificate."""
        done = processes.run("kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca,
                             "identity", "list")
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("sip:", done.stdout)


if __name__ == "__main__":
    unittest.main()
