"""Revocation at a KMS: refused at once and for good, and heard of by who has media to cut."""

import json
import pathlib
import sys
import tempfile
import threading
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "interop/kms")]
import grpc  # noqa: E402
import house  # noqa: E402
import processes  # noqa: E402
import ticket_port  # noqa: E402

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
CAROL = "sip:carol@example.com"
DENIED = 5
LIMIT = 9


class Subscriber:
    """Watches on a thread: what it heard, as (what, subject), and the last position."""

    def __init__(self, port, after=None):
        self.call = port.watch_revocations(after, timeout=60)
        self.heard, self.position, self.ended = [], None, None
        self.first = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        if not self.first.wait(20):
            raise processes.Failure("the watch tells nothing")

    def _run(self):
        try:
            for message in self.call:
                self.position = message.sequence
                if message.WhichOneof("event") == "revocation":
                    what = message.revocation.WhichOneof("revoked")
                    subject = getattr(message.revocation, what)
                    self.heard.append((what, getattr(subject, "uri", subject)))
                elif message.WhichOneof("event") == "reset":
                    self.heard.append(("reset", None))
                self.first.set()
        except grpc.RpcError as error:
            self.ended = error.code()
        self.first.set()

    def wait(self, count, seconds=20):
        deadline = time.monotonic() + seconds
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.heard

    def stop(self):
        self.call.cancel()
        self.thread.join(20)


class Revocation(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-revocation-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kms = house.Kms(self.folder / "kms", identity="sip:kms@example.com")
        self.addCleanup(lambda: self.kms.daemon.kill())
        self.alice_key = self.kms.create_identity(ALICE, self.folder)
        self.bob_key = self.kms.create_identity(BOB, self.folder)

    def request(self, name):
        """A new ticket for bob: (file of its TRANSFER_INIT, its id)."""
        transfer = self.folder / name
        done = self.kms.ticket("request", ALICE, self.alice_key, "--responder", BOB,
                           "--transfer-init", transfer, "--ticket", f"{transfer}.ticket")
        self.assertEqual(done.returncode, 0, done.stderr)
        return transfer, json.loads(done.stdout)["ticket_id"]

    def resolve(self, transfer):
        return self.kms.ticket("resolve", BOB, self.bob_key, "--transfer-init", transfer)

    def assert_resolves(self, transfer):
        done = self.resolve(transfer)
        self.assertEqual(done.returncode, 0, done.stderr)

    def assert_revoked(self, transfer, rule):
        done = self.resolve(transfer)
        self.assertEqual(done.returncode, DENIED, done.stderr)
        self.assertIn("the ticket is revoked", done.stderr)
        self.assertEqual(self.kms.audit()[-1]["rule"], rule)

    def restart(self):
        self.kms.daemon.kill()
        self.kms.start()

    def test_a_ticket_is_refused_at_once_and_after_a_kill(self):
        """KMS-2: by the id that the audit names, by the ticket, by a message that carries it."""
        by_id, ticket_id = self.request("one")
        by_file, _ = self.request("two")
        by_message, _ = self.request("three")
        other, _ = self.request("four")
        self.assertIn(ticket_id, [line.get("ticket_id") for line in self.kms.audit()])
        self.assert_resolves(by_id)
        self.kms.ctl_ok("ticket", "revoke", "--id", ticket_id)
        self.assert_revoked(by_id, "revoked")
        self.kms.ctl_ok("ticket", "revoke", "--ticket", f"{by_file}.ticket")
        self.assert_revoked(by_file, "revoked")
        self.kms.ctl_ok("ticket", "revoke", "--transfer-init", by_message)
        self.restart()
        for transfer in (by_id, by_file, by_message):
            self.assert_revoked(transfer, "revoked")
        self.assert_resolves(other)

        told = json.loads(self.kms.ctl_ok("--output", "json", "revocation", "list"))
        self.assertEqual([one["revoked"] for one in told], ["ticket"] * 3)
        self.assertEqual(told[0]["ticket_id"], ticket_id)
        lines = [line for line in self.kms.audit() if line["operation"] == "admin.revoke_ticket"]
        self.assertEqual(lines[0]["ticket_id"], ticket_id)
        self.assertTrue(all(line["caller"].startswith("uid:") for line in lines))

    def test_all_tickets_from_before_a_time_are_refused(self):
        """KMS-2: at once, after a kill, and never one that comes later."""
        old, _ = self.request("old")
        time.sleep(1.1)  # the time is given in seconds
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        young, _ = self.request("young")
        future = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        self.assertEqual(self.kms.ctl("ticket", "revoke", "--before", future).returncode, 3)
        self.assert_resolves(old)
        self.kms.ctl_ok("ticket", "revoke", "--before", before)
        self.assert_revoked(old, "epoch")
        self.assert_resolves(young)
        self.restart()
        self.assert_revoked(old, "epoch")
        self.assert_resolves(young)

    def test_tickets_of_a_suspended_initiator_do_not_resolve(self):
        """KMS-2: nor those of one that is removed."""
        transfer, _ = self.request("one")
        self.kms.ctl_ok("identity", "suspend", ALICE)
        self.assert_revoked(transfer, "initiator_suspended")
        self.kms.ctl_ok("identity", "resume", ALICE)
        self.assert_resolves(transfer)
        self.kms.ctl_ok("identity", "delete", ALICE)
        self.assert_revoked(transfer, "initiator_gone")

    def test_the_number_of_revoked_tickets_is_bounded(self):
        self.kms.stop()
        self.kms.config.write_text(self.kms.config.read_text()
                                   + "\n[revocation]\nmax_tickets = 2\n")
        self.kms.start()
        for number in range(2):
            self.kms.ctl_ok("ticket", "revoke", "--id", f"{number:032x}")
        refused = self.kms.ctl("ticket", "revoke", "--id", "ff" * 16)
        self.assertEqual(refused.returncode, LIMIT)
        self.assertIn("before a time", refused.stderr)

    def test_who_watches_hears_everything_in_order_and_resumes(self):
        """Over a connection that is cut, and over kill -9."""
        stubs = ticket_port.Stubs(self.folder)
        certificate = self.kms.tls / "mrfc.pem"

        def watch(after=None):
            port = ticket_port.TicketPort(stubs, self.kms.ticket_address, self.kms.ca, certificate)
            self.addCleanup(port.close)
            subscriber = Subscriber(port, after)
            self.addCleanup(subscriber.stop)
            return subscriber

        self.kms.create_identity(CAROL, self.folder)
        _, tpk_id = self.kms.share_tpk(CAROL, self.folder)
        one = watch()
        self.kms.ctl_ok("ticket", "revoke", "--id", "01" * 16)
        self.kms.ctl_ok("identity", "suspend", BOB)
        self.kms.ctl_ok("tpk", "unshare", "--identity", CAROL)
        self.kms.ctl_ok("identity", "resume", BOB)
        self.kms.ctl_ok("identity", "delete", BOB)
        expected = [("ticket_id", b"\x01" * 16), ("identity", BOB), ("tpk_id", tpk_id.encode()),
                    ("identity", BOB)]
        self.assertEqual(one.wait(4), expected)
        one.stop()

        self.kms.ctl_ok("ticket", "revoke", "--id", "02" * 16)
        self.kms.ctl_ok("identity", "delete", CAROL)
        missed = [("ticket_id", b"\x02" * 16), ("identity", CAROL)]
        two = watch(one.position)
        self.assertEqual(two.wait(2), missed)
        self.kms.ctl_ok("ticket", "revoke", "--id", "03" * 16)
        self.assertEqual(two.wait(3), missed + [("ticket_id", b"\x03" * 16)])

        self.kms.daemon.kill()
        two.thread.join(20)
        self.assertEqual(two.ended, grpc.StatusCode.UNAVAILABLE)
        self.kms.start()
        self.kms.ctl_ok("ticket", "revoke", "--id", "04" * 16)
        three = watch(two.position)
        self.assertEqual(three.wait(1), [("ticket_id", b"\x04" * 16)])
        self.assertEqual(self.kms.stop(), 0)
        three.thread.join(20)
        self.assertEqual(three.ended, grpc.StatusCode.UNAVAILABLE)

    def test_who_has_not_the_role_hears_nothing(self):
        """KMS-7: revocations tell who exists."""
        stubs = ticket_port.Stubs(self.folder)
        for certificate, code in ((None, grpc.StatusCode.UNAUTHENTICATED),
                                  (self.kms.tls / "ue.pem", grpc.StatusCode.PERMISSION_DENIED)):
            port = ticket_port.TicketPort(stubs, self.kms.ticket_address, self.kms.ca, certificate)
            self.addCleanup(port.close)
            with self.assertRaises(grpc.RpcError) as refused:
                next(port.watch_revocations())
            self.assertEqual(refused.exception.code(), code)

    def test_kmsctl_watches_over_a_restart(self):
        watch = processes.Process(self.folder, "watch", "kmsctl", "--socket",
                                  self.kms.admin_socket, "--output", "json", "revocation", "watch",
                                  "--after", 0)
        self.addCleanup(watch.kill)

        def told(count):
            deadline = time.monotonic() + 20
            while watch.output().count("\n") < count and time.monotonic() < deadline:
                time.sleep(0.02)
            return [json.loads(line) for line in watch.output().splitlines()]

        self.kms.ctl_ok("ticket", "revoke", "--id", "01" * 16)
        self.assertEqual(told(1)[0]["ticket_id"], "01" * 16)
        self.restart()
        self.kms.ctl_ok("identity", "suspend", ALICE)
        self.assertEqual([one["revoked"] for one in told(2)], ["ticket", "identity"])
        self.assertEqual(told(2)[1]["uri"], ALICE)


class LiveMedia(unittest.TestCase):
    """What the KMS revokes, the MRFC cuts while it runs."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-cut-")
        cls.addClassCleanup(folder.cleanup)
        cls.all = house.Everything(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.all.stop)

    def talk(self, user):
        """A session between the MRFC and the user that goes on: (session, the user's side)."""
        session, side = self.all.mrfc.dial_out(user, "--timeout", 60, "--expect", 1)
        self.addCleanup(side.stop)
        taken = self.all.mrfc.take_answer(session, side)
        self.assertEqual(taken.returncode, 0, taken.stderr + self.all.mrfc.daemon.log())
        side.wait_event("tls established")
        return session["session"], side

    def assert_cut(self, session, side, what):
        began = time.monotonic()
        self.assertEqual(side.wait(20), 10, side.log())
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("ended TLS", side.events("failed")[0]["reason"])
        events = self.all.mrfc.wait_state(session, "released")
        self.assertIn(f"the KMS revoked {what}", events[-1]["detail"])

    def test_a_revoked_ticket_ends_its_session_and_no_other(self):
        kms = self.all.kms
        session, side = self.talk(self.all.alice)
        ticket_id = [line["ticket_id"] for line in kms.audit() if line["operation"] == "request"][-1]
        other, other_side = self.talk(self.all.bob)
        kms.ctl_ok("ticket", "revoke", "--id", ticket_id)
        self.assert_cut(session, side, "its ticket")
        self.assertTrue(other_side.running())
        self.assertIn(other, [one["session"] for one in self.all.mrfc.ctl_ok("list")])

    def test_a_suspended_user_is_cut_also_when_the_kms_was_away(self):
        kms = self.all.kms
        session, side = self.talk(self.all.alice)
        kms.ctl_ok("identity", "suspend", self.all.alice.uri)
        self.assert_cut(session, side, "one of its parties")
        kms.ctl_ok("identity", "resume", self.all.alice.uri)

        session, side = self.talk(self.all.alice)
        kms.daemon.kill()
        kms.start()
        kms.ctl_ok("identity", "suspend", self.all.alice.uri)
        self.assert_cut(session, side, "one of its parties")
        kms.ctl_ok("identity", "resume", self.all.alice.uri)


if __name__ == "__main__":
    unittest.main()
