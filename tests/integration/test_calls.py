"""The whole house: KMS, MRFC, MRFP and user endpoints, with TLS-PSK and MSRP between them."""

import pathlib
import tempfile
import unittest

import house


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-calls-")
        cls.addClassCleanup(folder.cleanup)
        cls.all = house.Everything(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.all.stop)
        cls.mrfc, cls.alice, cls.bob = cls.all.mrfc, cls.all.alice, cls.all.bob

    def dial_out(self, user, *options, mrfc=None, conference=None):
        mrfc = mrfc or self.mrfc
        session, side = mrfc.dial_out(user, "--timeout", 30, *options, conference=conference)
        self.addCleanup(side.stop)
        taken = mrfc.take_answer(session, side)
        self.assertEqual(taken.returncode, 0, taken.stderr + mrfc.daemon.log())
        return session, side

    def assert_tls(self, side, role):
        [session] = side.events("tls established")
        self.assertEqual((session["version"], session["suite"], session["role"]),
                         ("TLSv1.3", "TLS_AES_128_GCM_SHA256", role))
        self.assertIs(side.events("tls ended")[0]["by_both"], True)

    def test_dial_out_mode_1(self):
        """MRFC-I1 to MRFC-I7, MRFC-B2, MRFC-B3, MRFP-1 to MRFP-8: the MRFC offers."""
        session, side = self.dial_out(self.alice, "--send", "hello", "--expect", 1)
        side.finish()
        self.assertEqual(session["keys"], "issued by the KMS")
        self.assertEqual(side.messages(), ["hello"])  # alone in its conference: echoed
        self.assertEqual(side.events("message answered")[0]["status"], 200)
        self.assertEqual(side.events("ticket received")[0]["initiator"], self.mrfc.uri)
        self.assertEqual(side.events("ticket received")[0]["flags"], "DEFGHINO")
        self.assert_tls(side, "client")
        events = self.mrfc.wait_state(session["session"], "established")
        self.assertIn("TLSv1.3 TLS_AES_128_GCM_SHA256", events[-1]["detail"])

    def test_dial_out_with_passive_answer(self):
        """MRFC-B3, MRFC-B5, MRFP-4: the UE answers passive, the MRFP connects and starts TLS."""
        _, side = self.dial_out(self.alice, "--setup", "passive", "--send", "hello", "--expect", 1)
        side.finish()
        self.assertEqual(side.messages(), ["hello"])
        self.assert_tls(side, "server")

    def test_dial_in(self):
        """MRFC-R1 to MRFC-R5, MRFC-B3: the UE offers with a ticket of the KMS, either role."""
        for setup, role in (("actpass", "server"), ("active", "client"), ("passive", "server")):
            with self.subTest(setup=setup):
                done, side = self.mrfc.dial_in(self.alice, "--setup", setup, "--timeout", 30,
                                               "--send", "hello", "--expect", 1)
                self.addCleanup(side.stop)
                self.assertEqual(done.returncode, 0, done.stderr + self.mrfc.daemon.log())
                side.finish()
                self.assertEqual(side.messages(), ["hello"])
                self.assertEqual(side.events("answer verified")[0]["peer"], self.mrfc.uri)
                self.assert_tls(side, role)

    def test_dial_out_self_issued(self):
        """MRFC-I3, KMS-8: an MRFC that issues its tickets itself (mode 3)."""
        issuer = house.Mrfc(self.all.kms, self.all.mrfp, self.all.folder / "issuer",
                            uri="sip:issuer@example.com", mode_3=True)
        self.addCleanup(issuer.stop)
        session, side = self.dial_out(self.bob, "--send", "hello", "--expect", 1, mrfc=issuer)
        side.finish()
        self.assertEqual(session["keys"], "self-issued")
        self.assertEqual(side.events("ticket received")[0]["flags"], "EFGHILNO")
        self.assertEqual(side.messages(), ["hello"])

    def test_two_users_in_one_conference(self):
        """MRFP-8: messages cross between the legs; each leg has a key of its own (MRFP-5)."""
        session, alice = self.dial_out(self.alice, "--expect", 1, "--send", "hello, Bob",
                                       "--send-after", 1)
        alice.wait_event("tls established")
        done, bob = self.mrfc.dial_in(self.bob, "--timeout", 30, "--send", "hello, Alice",
                                      "--expect", 1, conference=session["conference"])
        self.addCleanup(bob.stop)
        self.assertEqual(done.returncode, 0, done.stderr + self.mrfc.daemon.log())
        alice.finish()
        bob.finish()
        self.assertEqual(alice.messages(), ["hello, Alice"])
        self.assertEqual(bob.messages(), ["hello, Bob"])
        identities = {side.events("tls established")[0]["psk_identity"] for side in (alice, bob)}
        self.assertEqual(len(identities), 2)

    def test_long_message_crosses_whole(self):
        """MRFP-8: 100,000 octets in chunks, there and back."""
        text = "".join(f"line {number}\n" for number in range(9000))[:100_000]
        _, side = self.dial_out(self.alice, "--send", text, "--expect", 1)
        side.finish()
        self.assertEqual(side.events("message received")[0]["octets"], len(text))

    def test_media_ends_with_tls_and_the_session_is_released(self):
        """MRFP-2: the end of TLS is the end of the stream, and the MRFC hears of it."""
        session, side = self.dial_out(self.alice, "--send", "hello", "--expect", 1)
        side.finish()
        self.mrfc.wait_state(session["session"], "released")

    def test_release_ends_the_media(self):
        """MRFC-B8, MRFP-2: a release at the controller reaches the user as the end of TLS."""
        session, side = self.dial_out(self.alice, "--expect", 1)
        side.wait_event("tls established")
        self.mrfc.ctl_ok("release", "--session", session["session"])
        self.assertEqual(side.wait(20), 10)
        self.assertIn("ended TLS", side.events("failed")[0]["reason"])
        self.assertNotIn(session["session"],
                         [one["session"] for one in self.mrfc.ctl_ok("list")])


if __name__ == "__main__":
    unittest.main()
