"""Two user endpoints and a KMS: the flow of TS 33.328 without a controller between them."""

import pathlib
import tempfile
import unittest

import house

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


class Users(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-users-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.kms = house.Kms(cls.folder / "kms")
        cls.addClassCleanup(cls.kms.stop)
        cls.alice = house.User(cls.kms, cls.folder / "alice", ALICE, mode_3=True)
        cls.bob = house.User(cls.kms, cls.folder / "bob", BOB)
        cls.mallory = house.User(cls.kms, cls.folder / "mallory", "sip:mallory@example.com")

    def call(self, offer_options=(), answer_options=(), to=BOB, answerer=None):
        """Both sessions, started; the offer goes straight to the answerer."""
        offer = self.alice.offer(to, "--timeout", 20, *offer_options)
        self.addCleanup(offer.stop)
        answer = (answerer or self.bob).answer(offer.offer_file, "--timeout", 20, *answer_options)
        self.addCleanup(answer.stop)
        # The answer travels back when it is there.
        offer.answer_file.symlink_to(answer.answer_file)
        return offer, answer

    def assert_talked(self, offer, answer):
        offer.finish()
        answer.finish()
        self.assertEqual(answer.messages(), ["hello"])
        self.assertEqual(offer.messages(), ["hi"])
        for side in (offer, answer):
            [session] = side.events("tls established")
            self.assertEqual((session["version"], session["suite"]),
                             ("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
            self.assertIs(side.events("tls ended")[0]["by_both"], True)

    TALK = (("--send", "hello", "--expect", 1),
            ("--expect", 1, "--send", "hi", "--send-after", 1))

    def test_mode_1(self):
        """UE-1, KMS-1, KMS-2, KMS-4: a ticket of the KMS, resolved by the one who was called."""
        offer, answer = self.call(*self.TALK)
        self.assert_talked(offer, answer)
        self.assertEqual(offer.events("ticket granted")[0]["flags"], "DEFGHINO")
        self.assertEqual(offer.events("answer verified")[0]["peer"], BOB)
        self.assertEqual(answer.events("answer made")[0]["caller"], ALICE)

    def test_mode_3(self):
        """UE-1, KMS-8: a ticket that the initiator issued under a TPK shared with the KMS."""
        offer, answer = self.call(("--self-issued", *self.TALK[0]), self.TALK[1])
        self.assert_talked(offer, answer)
        self.assertEqual(offer.events("ticket issued")[0]["flags"], "EFGHILNO")

    def test_roles(self):
        """UE-1: every allowed combination of a=setup (RFC 4145)."""
        for offered, answered, active in (("actpass", "active", "client"),
                                          ("actpass", "passive", "server"),
                                          ("active", "passive", "server"),
                                          ("passive", "active", "client")):
            with self.subTest(offered=offered, answered=answered):
                offer, answer = self.call(("--setup", offered, *self.TALK[0]),
                                          ("--setup", answered, *self.TALK[1]))
                self.assert_talked(offer, answer)
                self.assertEqual(answer.events("tls established")[0]["role"], active)

    def test_tampered_ticket_is_refused(self):
        """UE-1, KMS-3: one bit of the ticket, and nobody gets a key."""
        offer, answer = self.call(("--lab-tamper-ticket",))
        self.assertNotEqual(answer.wait(20), 0)
        self.assertEqual(answer.events("answer made"), [])
        self.assertFalse(answer.answer_file.exists())
        refusal = self.kms.audit()[-1]
        self.assertEqual((refusal["operation"], refusal["decision"]), ("resolve", "refused"))

    def test_somebody_else_may_not_resolve(self):
        """KMS-2, MRFC-R1: neither the message nor the KMS lets mallory answer for bob."""
        offer, answer = self.call(answerer=self.mallory)
        self.assertNotEqual(answer.wait(20), 0)
        self.assertEqual(answer.events("answer made"), [])

    def test_wrong_key_in_tls_is_refused(self):
        """UE-1, MRFP-5: the peer authenticated in SDP, but its TLS has another key."""
        offer, answer = self.call(("--expect", 1), ("--lab-wrong-psk", "--send", "hello"))
        self.assertEqual(offer.wait(20), 4)
        self.assertNotEqual(answer.wait(20), 0)
        self.assertEqual(offer.messages(), [])

    def test_offer_seen_before_is_refused(self):
        """UE-1, MRFC-R5: in another process of the same user, half a second later."""
        offer, answer = self.call(*self.TALK)
        self.assert_talked(offer, answer)
        again = self.bob.answer(offer.offer_file, "--timeout", 20)
        self.assertEqual(again.wait(20), 8, again.log())
        self.assertFalse(again.answer_file.exists())

    def test_caller_must_be_the_one_the_network_asserts(self):
        """MRFC-R2: the ticket is alice's, the signalling says mallory."""
        _, answer = self.call(answer_options=("--from", "sip:mallory@example.com"))
        self.assertEqual(answer.wait(20), 5)


if __name__ == "__main__":
    unittest.main()
