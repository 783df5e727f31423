"""Bulk import and export with the real binaries: a batch once, whole, whatever is killed."""

import base64
import csv
import hashlib
import json
import pathlib
import sqlite3
import tempfile
import time
import unittest

import house
import processes


def user(number):
    return f"sip:user{number:05}@example.com"


def key(uri):
    return hashlib.sha256(b"bulk " + uri.encode()).digest()


class Bulk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-bulk-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kms = house.Kms(self.folder / "kms", identity="sip:kms@example.com")
        self.addCleanup(lambda: self.kms.daemon.kill())

    def users_file(self, numbers, name="users.csv"):
        path = self.folder / name
        path.touch(mode=0o600)
        lines = ["uri,psks"] + [f"{user(n)},{base64.b64encode(key(user(n))).decode()}"
                                for n in numbers]
        path.write_text("\n".join(lines) + "\n")
        return path

    def start_import(self, path, *options):
        return processes.Process(self.folder, "import", "kmsctl", "--socket",
                                 self.kms.admin_socket, "--output", "json", "identity", "import",
                                 path, *options)

    def batches_done(self):
        database = sqlite3.connect(f"file:{self.kms.data / 'kms.db'}?mode=ro", uri=True)
        try:
            return (database.execute("SELECT max(next_batch) FROM imports").fetchone()[0] or 0)
        finally:
            database.close()

    def wait_for_batches(self, importing, number):
        deadline = time.monotonic() + 20
        while self.batches_done() < number:
            self.assertTrue(importing.running(), importing.log())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)

    def listed(self):
        return {one["uri"]: one
                for one in json.loads(self.kms.ctl_ok("--output", "json", "identity", "list"))}

    def import_lines(self):
        """The audit's: batch number to what became of it, of those that did something."""
        return [line["detail"] for line in self.kms.audit()
                if line["operation"] == "admin.import_identities" and "created" in line["detail"]]

    def test_import_goes_on_after_the_kms_was_killed(self):
        """KMS-1: 2,000 identities, each once, although the KMS dies in the middle."""
        path = self.users_file(range(2000))
        importing = self.start_import(path, "--batch", 20)
        self.wait_for_batches(importing, 5)
        self.kms.daemon.kill()
        self.assertTrue(importing.running() or importing.wait(1) == 0)
        self.kms.start()
        self.assertEqual(importing.wait(60), 0, importing.log())
        summary = json.loads(importing.output())
        self.assertEqual((summary["identities"], summary["batches"]), (2000, 100))
        self.assertEqual(summary["created"] + summary["done_before"], 2000)
        self.assertEqual(set(self.listed()), {user(n) for n in range(2000)})

        key_file = house.write_secret(self.folder / "user.psk", key(user(1999)))
        processes.run_ok("kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca,
                         "ticket", "request", "--identity", user(1999), "--kms", self.kms.identity,
                         "--psk-file", key_file, "--responder", user(0))

    def test_import_goes_on_after_kmsctl_was_killed(self):
        """KMS-1: the same command again, and no batch is imported twice."""
        path = self.users_file(range(2000))
        importing = self.start_import(path, "--batch", 20)
        self.wait_for_batches(importing, 5)
        importing.kill()
        again = json.loads(self.kms.ctl_ok("--output", "json", "identity", "import", path,
                                           "--batch", 20))
        self.assertGreaterEqual(again["done_before"], 100)
        self.assertEqual(again["created"] + again["done_before"], 2000)
        self.assertEqual(len(self.listed()), 2000)
        self.assertEqual(sorted(self.import_lines(), key=lambda line: int(line.split()[1][:-1])),
                         [f"batch {n}: 20 created, 0 skipped" for n in range(100)])

    def test_a_bad_record_keeps_its_batch_out_and_is_named(self):
        """KMS-1: all or nothing per batch."""
        self.kms.ctl_ok("identity", "create", user(25))
        path = self.users_file(range(40))
        refused = self.kms.ctl("identity", "import", path, "--batch", 10)
        self.assertEqual(refused.returncode, 7, refused.stderr)
        for words in (str(path), "line 27", user(25), "batch 3", "the 2 before it are"):
            self.assertIn(words, refused.stderr)
        self.assertEqual(set(self.listed()), {user(n) for n in (*range(20), 25)})
        done = json.loads(self.kms.ctl_ok("--output", "json", "identity", "import", path,
                                          "--batch", 10, "--skip-existing"))
        self.assertEqual((done["done_before"], done["created"], done["skipped"]), (20, 19, 1))
        self.assertEqual(len(self.listed()), 40)

    def test_an_export_is_imported_elsewhere_and_holds_no_key(self):
        """KMS-1: all but the keys, groups first."""
        records = self.folder / "records.json"
        records.touch(mode=0o600)
        records.write_text(json.dumps([
            {"uri": "sip:zebras@example.com", "kind": "group"},
            {"uri": user(1), "aliases": ["tel:+4989123"], "groups": ["sip:zebras@example.com"],
             "psk_ids": ["first", "hex:00ff"], "psk_expiries": ["-", "2100-01-31T12:00:00Z"],
             "psks": [base64.b64encode(key(which)).decode() for which in ("a", "b")]},
            {"uri": "sip:mrfc@example.com", "kind": "mrfc", "state": "suspended",
             "owned_patterns": ["sip:conf-*@example.com"]}]))
        self.kms.ctl_ok("identity", "import", records)
        exports = {}
        for form in ("csv", "json"):
            exports[form] = self.folder / f"export.{form}"
            self.kms.ctl_ok("identity", "export", "--file", exports[form])
            for which in ("a", "b"):
                self.assertNotIn(base64.b64encode(key(which)).decode(), exports[form].read_text())
        with open(exports["csv"], newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["uri"] for row in rows],
                         ["sip:zebras@example.com", "sip:mrfc@example.com", user(1)])
        self.assertEqual(rows[2]["psk_ids"], "hex:00ff first")
        self.assertEqual(rows[2]["psk_expiries"], "2100-01-31T12:00:00Z -")

        other = house.Kms(self.folder / "other", identity="sip:other@example.com")
        self.addCleanup(other.stop)
        imported = json.loads(other.ctl_ok("--output", "json", "identity", "import",
                                           exports["csv"]))
        self.assertEqual((imported["created"], imported["without_keys"]), (3, 1))
        copy = self.folder / "copy.json"
        other.ctl_ok("identity", "export", "--file", copy)

        def without_keys(path):
            return [{name: value for name, value in json.loads(line).items()
                     if not name.startswith("psk_")} for line in path.read_text().splitlines()]
        self.assertEqual(without_keys(copy), without_keys(exports["json"]))

    def test_standard_input_is_imported_once(self):
        """KMS-1: no file to come back to."""
        done = self.kms.ctl("identity", "import", "-", stdin="uri\n" + user(1) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        again = self.kms.ctl("identity", "import", "-", stdin="uri\n" + user(1) + "\n")
        self.assertEqual(again.returncode, 7)


if __name__ == "__main__":
    unittest.main()
