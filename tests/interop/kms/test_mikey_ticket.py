"""The independent MIKEY-TICKET client against the vectors: the tester is tested first."""

import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mikey_ticket as mt  # noqa: E402

VECTORS = pathlib.Path(os.environ.get(
    "KEYSTUB_VECTORS",
    pathlib.Path(__file__).resolve().parents[3] / "lib/mikey/vectors/mikey-ticket-1.json"))


class TicketRequestVectors(unittest.TestCase):
    """KMS-1: REQUEST_INIT and REQUEST_RESP of mode 1, both suites, as the vectors have them."""

    @classmethod
    def setUpClass(cls):
        cls.scenarios = json.loads(VECTORS.read_text())["scenarios"]

    def request_of(self, scenario):
        inputs = self.scenarios[scenario]["inputs"]
        suite = mt.SUITE_256 if inputs["suite"]["prf"] == 1 else mt.SUITE_128
        wish = mt.Wish(
            kms=(mt.ID_NAI, inputs["ids"]["kms"].encode()),
            initiator=inputs["ids"]["alice"].encode(),
            responders=[inputs["ids"]["bob"].encode()],
            valid_from=int(inputs["trs"], 16) - mt.NTP_EPOCH,
            valid_to=int(inputs["tre"], 16) - mt.NTP_EPOCH,
            flags=inputs["ticket_flags"],
            key_spi=bytes.fromhex(inputs["tgk_spi"]),
            rekeying_seconds=3600)
        return inputs, mt.build_request_init(
            bytes.fromhex(inputs["psk_i"]), b"alice-psk", wish, suite,
            timestamp=bytes.fromhex(inputs["request_init_t"]),
            csb_id=bytes.fromhex(inputs["request_csb_id"]),
            randr_i=bytes.fromhex(inputs["request_randri"]))

    def test_builds_request_init_byte_for_byte(self):
        _, request = self.request_of("m")
        self.assertEqual(request.message.hex(), self.scenarios["m"]["messages"]["REQUEST_INIT"])

    def test_verifies_and_decrypts_request_resp(self):
        inputs, request = self.request_of("m")
        messages, results = self.scenarios["m"]["messages"], self.scenarios["m"]["results"]
        granted = mt.verify_request_resp(request, bytes.fromhex(messages["REQUEST_RESP"]))
        self.assertEqual(granted.mpk_i.hex(), results["mpki"])
        self.assertEqual(granted.mpk_r.hex(), results["mpkr"])
        self.assertEqual([(kind, key.hex(), spi.hex()) for kind, key, spi in granted.session_keys],
                         [(mt.KEY_TGK, inputs["tgk"], inputs["tgk_spi"])])
        self.assertEqual(granted.policy.flags, inputs["ticket_flags"])

    def test_refuses_request_resp_when_any_octet_is_flipped(self):
        _, request = self.request_of("m")
        genuine = bytes.fromhex(self.scenarios["m"]["messages"]["REQUEST_RESP"])
        for at in range(len(genuine)):
            forged = bytearray(genuine)
            forged[at] ^= 1
            with self.assertRaises((mt.Refused, KeyError, IndexError), msg=f"octet {at}"):
                mt.verify_request_resp(request, bytes(forged))

    def test_follows_the_keys_of_a_self_issued_ticket(self):
        """KMS-8, KMS-4: mode 3, from the TPK to the TEK."""
        scenario = self.scenarios["n"]
        messages = scenario["messages"]
        keys = mt.transfer_keys(bytes.fromhex(scenario["inputs"]["tpk"]),
                                bytes.fromhex(messages["TRANSFER_INIT"]),
                                bytes.fromhex(messages["TRANSFER_RESP"]))
        results = scenario["results"]
        self.assertEqual(keys["MPK"].hex(), scenario["inputs"]["mpk"])
        self.assertEqual(keys["MPKi"].hex(), results["mpki"])
        self.assertEqual(keys["MPKr'"].hex(), results["mpkr_forked"])
        self.assertIn(keys["TGK'"].hex(), json.dumps(results["keys_forked"]))
        self.assertIn(keys["TEK"].hex(), json.dumps(results["session_keys"]))

    def test_derives_the_128_bit_suite(self):
        """The PRF MIKEY-1 and AES-CM-128 against every derivation and encryption of scenario b."""
        checked = 0
        for step in self.scenarios["b"]["steps"]:
            if step["step"] != "derive":
                continue
            suite = mt.SUITE_128 if step["prf"] == 0 else mt.SUITE_256
            out = mt.prf(suite, bytes.fromhex(step["inkey"]), bytes.fromhex(step["label"]),
                         step["outkey_bits"] // 8)
            self.assertEqual(out.hex(), step["outkey"], step["name"])
            checked += 1
        self.assertGreater(checked, 10)


if __name__ == "__main__":
    unittest.main()
