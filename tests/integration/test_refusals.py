"""What the whole house refuses, and that nothing is left of it."""

import pathlib
import re
import tempfile
import time
import unittest

import house


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-refusals-")
        cls.addClassCleanup(folder.cleanup)
        cls.all = house.Everything(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.all.stop)
        cls.kms, cls.mrfc, cls.alice, cls.bob = (cls.all.kms, cls.all.mrfc, cls.all.alice,
                                                 cls.all.bob)

    def setUp(self):
        self.sessions_before = self.session_ids()

    def session_ids(self):
        return {one["session"] for one in self.mrfc.ctl_ok("list")}

    def dial_in(self, user, *options):
        done, side = self.mrfc.dial_in(user, "--timeout", 20, *options)
        self.addCleanup(side.stop)
        return done, side

    def assert_refused(self, done, side=None, sip="488"):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"for SIP: {sip}", done.stderr)
        self.assertEqual(self.session_ids(), self.sessions_before)
        if side is not None:
            self.assertFalse(side.answer_file.exists())
            self.assertEqual(side.events("tls established"), [])

    def test_tampered_ticket(self):
        """MRFC-R2, KMS-3: one bit of the ticket; the KMS says why in its audit."""
        self.assert_refused(*self.dial_in(self.bob, "--lab-tamper-ticket"))
        refusal = self.kms.audit()[-1]
        self.assertEqual((refusal["decision"], refusal["rule"]), ("refused", "ticket"))

    def test_replayed_offer(self):
        """MRFC-R5: the same offer a second time."""
        done, side = self.dial_in(self.bob)
        self.assertEqual(done.returncode, 0, done.stderr)
        side.finish()
        again = self.mrfc.ctl("accept-offer", "--sdp", side.offer_file, "--from", self.bob.uri,
                              "--sdp-out", self.all.folder / "again.sdp")
        self.assertNotEqual(again.returncode, 0)
        self.assertFalse((self.all.folder / "again.sdp").exists())

    def test_ticket_of_somebody_else(self):
        """MRFC-R2: bob's ticket under alice's name in the signalling."""
        side = self.bob.offer(self.mrfc.uri, "--timeout", 20)
        self.addCleanup(side.stop)
        side.wait_event("offer made")
        done = self.mrfc.ctl("accept-offer", "--sdp", side.offer_file, "--from", self.bob.uri,
                             "--asserted", self.alice.uri, "--sdp-out", side.answer_file)
        self.assert_refused(done, side)

    def test_ticket_for_somebody_else(self):
        """MRFC-R1: a ticket that does not name the MRFC is refused without asking the KMS."""
        side = self.bob.offer(self.alice.uri, "--timeout", 20)
        self.addCleanup(side.stop)
        side.wait_event("offer made")
        decisions = len(self.kms.audit())
        done = self.mrfc.ctl("accept-offer", "--sdp", side.offer_file, "--from", self.bob.uri,
                             "--sdp-out", side.answer_file)
        self.assert_refused(done, side)
        self.assertEqual(len(self.kms.audit()), decisions)

    def test_answer_of_somebody_else(self):
        """MRFC-I5: alice was called, bob's answer to another offer comes back."""
        first, alice = self.mrfc.dial_out(self.alice, "--lab-no-media")
        second, bob = self.mrfc.dial_out(self.bob, "--lab-no-media")
        alice.finish()
        bob.finish()
        crossed = self.mrfc.ctl("accept-answer", "--session", first["session"],
                                "--sdp", bob.answer_file)
        self.assertNotEqual(crossed.returncode, 0)
        self.mrfc.ctl("release", "--session", first["session"])
        self.mrfc.ctl("release", "--session", second["session"])

    def test_tampered_answer(self):
        """MRFC-I5: one bit of TRANSFER_RESP, and no key goes to the MRFP."""
        session, side = self.mrfc.dial_out(self.alice, "--lab-no-media")
        side.finish()
        text = side.answer_file.read_text()
        line = re.search(r"a=key-mgmt:mikey (\S+)", text).group(1)
        flipped = line[:60] + ("B" if line[60] == "A" else "A") + line[61:]
        forged = self.all.folder / "forged.sdp"
        forged.write_text(text.replace(line, flipped))
        done = self.mrfc.ctl("accept-answer", "--session", session["session"], "--sdp", forged)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn(session["session"],
                         {one["session"] for one in self.mrfc.ctl_ok("list")
                          if any(m["state"] in ("connecting", "established")
                                 for m in one["media"])})
        self.mrfc.ctl("release", "--session", session["session"])

    def test_key_of_another_stream(self):
        """MRFP-5: bob takes the good key of his own stream to alice's; no message crosses."""
        first, alice = self.mrfc.dial_out(self.alice, "--lab-no-media")
        alice.finish()
        self.assertEqual(self.mrfc.take_answer(first, alice).returncode, 0)
        port = re.search(r"m=message (\d+)", alice.offer_file.read_text()).group(1)

        second, bob = self.mrfc.dial_out(self.bob, "--timeout", 20, "--send", "not for you",
                                         "--lab-connect", f"127.0.0.1:{port}")
        self.addCleanup(bob.stop)
        self.assertEqual(self.mrfc.take_answer(second, bob).returncode, 0)
        self.assertEqual(bob.wait(20), 4, bob.log())
        self.assertEqual(bob.events("tls established"), [])
        # Refused without a trace for the stream: it still waits for its owner.
        states = {one["session"]: one["media"][0]["state"] for one in self.mrfc.ctl_ok("list")}
        self.assertEqual(states.get(first["session"]), "connecting")
        self.mrfc.ctl("release", "--session", first["session"])
        self.mrfc.ctl("release", "--session", second["session"])

    def test_wrong_key_under_the_right_identity(self):
        """MRFP-5, MRFP-6: the identity is right, the key is not."""
        session, side = self.mrfc.dial_out(self.alice, "--timeout", 20, "--lab-wrong-psk",
                                           "--send", "hello")
        self.addCleanup(side.stop)
        self.assertEqual(self.mrfc.take_answer(session, side).returncode, 0)
        self.assertEqual(side.wait(20), 4, side.log())
        self.assertEqual(side.events("message answered"), [])
        self.mrfc.ctl("release", "--session", session["session"])

    def test_suspended_user(self):
        """KMS-2: a suspended user can neither answer nor offer, from that moment on."""
        carol = house.User(self.kms, self.all.folder / "carol", "sip:carol@example.com")
        self.kms.ctl_ok("identity", "suspend", carol.uri)
        session, side = self.mrfc.dial_out(carol, "--timeout", 20)
        self.assertEqual(side.wait(20), 5, side.log())
        self.assertEqual(side.events("answer made"), [])
        self.mrfc.ctl("release", "--session", session["session"])
        offering = carol.offer(self.mrfc.uri, "--timeout", 20)
        self.assertEqual(offering.wait(20), 5, offering.log())
        self.assertEqual(offering.events("offer made"), [])

    def test_kms_that_is_not_there(self):
        """MRFC-I3, MRFC-R2: 503 in SIP, never a session without protection."""
        side = self.bob.offer(self.mrfc.uri, "--timeout", 30)
        self.addCleanup(side.stop)
        side.wait_event("offer made")
        self.kms.stop()
        try:
            done = self.mrfc.ctl("accept-offer", "--sdp", side.offer_file, "--from", self.bob.uri,
                                 "--sdp-out", side.answer_file)
            self.assert_refused(done, side, sip="503")
            done = self.mrfc.ctl("offer", "--peer", self.alice.uri)
            self.assert_refused(done, sip="503")
        finally:
            self.kms.start()
        # It comes back by itself, within the back-off of the channel.
        deadline = time.monotonic() + 15
        while self.mrfc.ctl("offer", "--peer", self.alice.uri).returncode != 0:
            self.assertLess(time.monotonic(), deadline, "the MRFC does not find its KMS again")
        session, side = self.mrfc.dial_out(self.alice, "--timeout", 20, "--send", "again",
                                           "--expect", 1)
        self.addCleanup(side.stop)
        self.assertEqual(self.mrfc.take_answer(session, side).returncode, 0)
        side.finish()


class MediaSecurityOff(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-off-")
        self.addCleanup(folder.cleanup)
        self.all = house.Everything(pathlib.Path(folder.name), media={"security": False})
        self.addCleanup(self.all.stop)

    def test_secured_media_is_rejected_not_downgraded(self):
        """MRFC-B7: with media security off secured offers are refused, and none are made."""
        done, side = self.all.mrfc.dial_in(self.all.bob, "--timeout", 20)
        self.addCleanup(side.stop)
        self.assertEqual(done.returncode, 5)
        self.assertIn("for SIP: 488", done.stderr)
        self.assertFalse(side.answer_file.exists())
        self.assertEqual(side.events("tls established"), [])
        # Nothing was asked of the KMS but bob's own ticket.
        self.assertNotIn("resolve", [line["operation"] for line in self.all.kms.audit()])
        dial_out = self.all.mrfc.ctl("offer", "--peer", self.all.alice.uri)
        self.assertEqual(dial_out.returncode, 5)
        self.assertNotIn("m=", dial_out.stdout)


if __name__ == "__main__":
    unittest.main()
