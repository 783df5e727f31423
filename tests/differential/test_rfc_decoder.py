"""The decoder in Python against answers worked out by hand from the figures of the RFCs: the tester
is tested first."""

import json
import pathlib
import unittest

import message_generator
import rfc_decoder
from rfc_decoder import Refused, Span, decode

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "lib/mikey/vectors/mikey-ticket-1.json"

# Version 1, Error message, CSB ID 1, #CS 0, the Empty map: ten octets, so that the first payload
# begins at 10 and its fields at 11.
HEADER = "01 06 {first:02x} 00 00000001 00 01"
T = (5, "02 00000007")
MAC_20, MAC_32 = "aa" * 20, "bb" * 32


def from_hex(text):
    return bytes.fromhex(text.replace(" ", ""))


def chained(payloads):
    """(type of the first, hex) of payloads that are each (type, hex behind Next Payload)."""
    types = [payload_type for payload_type, _ in payloads] + [0]
    text = "".join(body if payload_type == rfc_decoder.SIGN else f"{following:02x}" + body
                   for (payload_type, body), following in zip(payloads, types[1:]))
    return types[0], text


def message(*payloads, header=HEADER):
    first, text = chained(payloads)
    return from_hex(header.format(first=first) + text)


def nested(*payloads):
    """Hex of TP Data or Initiator Data with their length."""
    first, text = chained(payloads)
    data = from_hex(f"{first:02x}" + text).hex()
    return f"{len(data) // 2:04x}" + data


# A payload of each type: its type, its octets, its fields. Spans count from the message's start.
PAYLOADS = [
    ("KEMAC encrypted", 1, "01 0003 c1c2c3 02" + MAC_32, (1, Span(14, 3), 2, Span(18, 32))),
    ("KEMAC without keys", 1, "00 0000 00", (0, Span(14, 0), 0, Span(15, 0))),
    ("PKE to be cached", 2, "4002 c1c2", (1, Span(13, 2))),
    ("PKE of the longest length", 2, "bfff" + "00" * 0x3FFF, (2, Span(13, 0x3FFF))),
    ("DH of OAKLEY 5", 3, "00" + "d1" * 192 + "00", (0, Span(12, 192), 0, 0, ())),
    ("DH of OAKLEY 1 with SPI", 3, "01" + "d1" * 96 + "01 02 5e5f",
     (1, Span(12, 96), 0, 1, (Span(110, 2),))),
    ("DH of OAKLEY 2 with Interval and reserved bits", 3, "02" + "d1" * 128 + "f2 01 0f 00",
     (2, Span(12, 128), 15, 2, (Span(142, 1), Span(144, 0)))),
    ("T in NTP-UTC", 5, "00 e000000080000000", (0, 0xE000000080000000)),
    ("T in NTP", 5, "01 e000000080000000", (1, 0xE000000080000000)),
    ("T as COUNTER", 5, "02 00000007", (2, 7)),
    ("T in NTP-UTC-32", 5, "03 e0000000", (3, 0xE0000000)),
    ("ID", 6, "01 0003 7369 70", (1, Span(14, 3))),
    ("ID of an unassigned type", 6, "7f 0000", (0x7F, Span(14, 0))),
    ("CERT", 7, "02 0001 30", (2, Span(14, 1))),
    ("CHASH of SHA-1", 8, "00" + "ca" * 20, (0, Span(12, 20))),
    ("CHASH of MD5", 8, "01" + "ca" * 16, (1, Span(12, 16))),
    ("CHASH of SHA-256", 8, "02" + "ca" * 32, (2, Span(12, 32))),
    ("V of HMAC-SHA-1-160", 9, "01" + MAC_20, (1, Span(12, 20))),
    ("V of HMAC-SHA-256-256", 9, "02" + MAC_32, (2, Span(12, 32))),
    ("SP", 10, "05 00 0005 00 01 01 0b 00", (5, 0, ((0, Span(17, 1)), (11, Span(20, 0))))),
    ("SP without parameters", 10, "05 02 0000", (5, 2, ())),
    ("RAND", 11, "04 00010203", (Span(12, 4),)),
    ("ERR", 12, "0c 0000", (12, 0)),
    ("ERR with reserved bits", 12, "63 8001", (0x63, 0x8001)),
    ("TR", 13, "04 03 00000e10", (4, 3, 3600)),
    ("IDR", 14, "02 01 0001 2a", (2, 1, Span(15, 1))),
    ("IDR of an unassigned role", 14, "63 01 0001 2a", (0x63, 1, Span(15, 1))),
    ("RANDR", 15, "03 02 0102", (3, Span(13, 2))),
    ("EXT with a vendor ID", 21, "00 0002 abcd", (0, Span(14, 2))),
    ("EXT with key IDs", 21, "03 0005 00 01 07 01 00", (3, Span(14, 5), ((0, Span(16, 1)),
                                                                        (1, Span(19, 0))))),
    ("TP", 16, "0002 01 01 03f86a 0001 00",
     (2, 1, 1, 1, 0b111111000011, 0b01010, Span(20, 1))),
    ("TICKET", 17, "0001 01 01 fffe1f 0001 00 0002 7171 0000",
     (1, 1, 1, 127, 0b111111110000, 31, Span(20, 1), Span(23, 2), Span(27, 0))),
]

# What breaks which clause.
REFUSED = [
    ("nothing at all", "", "RFC 3830 6.1"),
    ("half a header", "0106 05 00 0000", "RFC 3830 6.1"),
    ("version 2", "02 06 05 00 00000001 00 01 00 02 00000007", "RFC 3830 6.1"),
    ("data type 19", "01 13 05 00 00000001 00 01 00 02 00000007", "RFC 3830 6.1"),
    ("CS ID map type 3", "01 06 05 00 00000001 00 03 00 02 00000007", "RFC 3830 6.1"),
    ("a header alone", "01 06 00 00 00000001 00 01", "RFC 3830 6.1"),
    ("a signature directly behind the header", "01 04 04 00 00000001 00 01 0001 aa",
     "RFC 3830 6.1"),
    ("an SRTP-ID map with an entry too few",
     "01 00 05 00 00000001 02 00 01 11111111 22222222 00 02 00", "RFC 3830 6.1"),
    ("SRTP Session Data of SSRC and half a ROC",
     "01 0e 05 00 00000001 01 02 01 00 00 0006 111111112222 00 00 02 00000007", "RFC 6043 6.1.1"),
    ("payload type 18", "01 06 12 00 00000001 00 01 00", "RFC 6043 4.2"),
    ("Key data in clear", "01 06 14 00 00000001 00 01 00 00 0000", "RFC 6043 4.2"),
]
REFUSED_PAYLOADS = [
    ("KEMAC of an unassigned MAC alg", [(1, "01 0000 03")], "RFC 3830 6.2"),
    ("Key data of an unassigned type", [(1, "00 0004 00700000 00")], "RFC 3830 6.13"),
    ("Key data of an unassigned KV", [(1, "00 0004 00030000 00")], "RFC 3830 6.13"),
    ("Key data without the salt it announces", [(1, "00 0005 0010000100 00")], "RFC 3830 6.13"),
    ("another payload behind Key data", [(1, "00 0004 05000000 00")], "RFC 3830 6.2"),
    ("octets behind the last Key data", [(1, "00 0005 0000000000 00")], "RFC 3830 6.13"),
    ("DH of an unassigned group", [(3, "03 00")], "RFC 3830 6.4"),
    ("DH of an unassigned KV", [(3, "01" + "00" * 96 + "03")], "RFC 3830 6.4"),
    ("T of an unassigned type", [(5, "04 00000000")], "RFC 3830 6.6"),
    ("TR of an unassigned type", [(13, "01 04 00000000")], "RFC 6043 6.4"),
    ("CHASH of an unassigned function", [(8, "03")], "RFC 3830 6.8"),
    ("V of NULL", [(9, "00")], "RFC 3830 6.9"),
    ("V of an unassigned algorithm", [(9, "03" + MAC_32)], "RFC 3830 6.9"),
    ("an SP parameter that leaves its SP", [(10, "00 00 0003 00 02 01")], "RFC 3830 6.10"),
    ("a key ID that leaves its EXT", [(21, "03 0003 00 02 01")], "RFC 4563 4"),
    ("something behind V", [(9, "01" + MAC_20), T], "RFC 3830 6.9"),
    ("TP Data without First Payload", [(16, "0001 01 01 000000 0000")], "RFC 6043 6.10"),
    ("an unassigned payload in TP Data", [(16, "0001 01 01 000000 0002 1200")], "RFC 6043 6.10"),
    ("octets behind the payloads of TP Data", [(16, "0001 01 01 000000 0002 0000")],
     "RFC 6043 6.10"),
    ("octets behind the payloads of Initiator Data",
     [(17, "0001 01 01 000000 0001 00 0000 0002 0000")], "RFC 6043 6.10"),
]


class DecodingByHand(unittest.TestCase):
    def test_each_payload_has_the_fields_of_its_figure(self):
        for name, payload_type, body, fields in PAYLOADS:
            with self.subTest(name):
                data = message((payload_type, body))
                payload, = decode(data).payloads
                self.assertEqual((payload.type, payload.fields), (payload_type, fields))
                self.assertEqual((payload.offset, payload.length), (10, len(data) - 10))

    def test_each_payload_is_refused_when_its_last_octet_is_missing(self):
        for name, payload_type, body, _ in PAYLOADS:
            with self.subTest(name), self.assertRaises(Refused):
                decode(message((payload_type, body))[:-1])

    def test_each_payload_is_refused_with_an_octet_behind_it(self):
        for name, payload_type, body, _ in PAYLOADS:
            with self.subTest(name), self.assertRaises(Refused):
                decode(message((payload_type, body)) + b"\0")

    def test_sign_has_no_next_payload(self):
        t, sign = decode(message(T, (4, "1003 515253"))).payloads
        self.assertEqual(sign, (4, "SIGN", 16, 5, (1, Span(18, 3)), ()))

    def test_header_fields(self):
        header = decode(message(T, header="01 0e {first:02x} 81 deadbeef 03 01")).header
        self.assertEqual(header.fields, (14, 1, 1, 0xDEADBEEF, 3, 1, ()))

    def test_srtp_id_map(self):
        header = decode(message(T, header="01 00 {first:02x} 00 00000001 02 00 "
                                          "01 11111111 22222222 02 33333333 44444444")).header
        self.assertEqual(header.fields[-1], ((1, 0x11111111, 0x22222222),
                                             (2, 0x33333333, 0x44444444)))

    def test_generic_id_map(self):
        header = decode(message(T, header="01 0e {first:02x} 00 00000001 03 02 "
                                          "01 00 82 0506 000a 11111111222222223333 01 5e "
                                          "02 00 00 0004 11111111 00 "
                                          "03 02 80 0003 616263 00")).header
        self.assertEqual(header.length, 10 + 19 + 10 + 9)
        self.assertEqual(header.fields[-1], (
            (1, 0, 1, Span(13, 2), Span(17, 10), Span(28, 1)),
            (2, 0, 0, Span(32, 0), Span(34, 4), Span(39, 0)),
            (3, 2, 1, Span(42, 0), Span(44, 3), Span(48, 0))))

    def test_key_data_in_plain(self):
        kemac, = decode(message((1, "00 0018 14 11 0002 c1c2 0001 5a 01 5e "
                                    "14 62 0000 02 0102 00 00 00 0001 07 00"))).payloads
        (tgk, mpk, last), = kemac.inner
        self.assertEqual(tgk[2:5], (14, 11, (1, 1, Span(18, 2), Span(22, 1), (Span(24, 1),))))
        self.assertEqual(mpk[2:5], (25, 8, (6, 2, Span(29, 0), None, (Span(30, 2), Span(33, 0)))))
        self.assertEqual(last[2:5], (33, 5, (0, 0, Span(37, 1), None, ())))

    def test_the_id_precedes_the_key_data_in_public_key_methods(self):
        kemac, = decode(message((1, "00 000a 14 01 0001 61 00 00 0001 07 00"),
                                header="01 02 {first:02x} 00 00000001 00 01")).payloads
        self.assertEqual([payload.name for payload in kemac.inner[0]], ["ID", "Key data"])

    def test_policies_hold_payloads_and_skip_policies_inside(self):
        policy = "0001 01 01 000000"
        ticket, = decode(message((17, policy + nested((16, policy + "0001 63"), (14, "02 01 0000"))
                                  + "0000" + nested((9, "01" + MAC_20), (9, "01" + MAC_20))))
                         ).payloads
        policies, initiator = ticket.inner
        self.assertEqual([payload.name for payload in policies], ["TP", "IDR"])
        self.assertEqual([payload.name for payload in initiator], ["V", "V"])

    def test_refuses_what_breaks_a_clause(self):
        cases = [(name, from_hex(text), clause)
                 for name, text, clause in REFUSED]
        cases += [(name, message(*payloads), clause)
                  for name, payloads, clause in REFUSED_PAYLOADS]
        for name, data, clause in cases:
            with self.subTest(name):
                with self.assertRaises(Refused) as raised:
                    decode(data)
                self.assertEqual(raised.exception.clause, clause)

    def test_refuses_a_second_payload_of_a_kind_that_occurs_once(self):
        twice = [(1, "01 0000 00"), (2, "0000"), T, (8, "01" + "00" * 16), (11, "00"),
                 *((14, f"{role:02x} 00 0000") for role in (1, 2, 3, 4)),
                 *((15, f"{role:02x} 00") for role in (1, 2, 3)),
                 (16, "0001 01 01 000000 0001 00"), (17, "0001 01 01 000000 0001 00 0000 0000")]
        for payload in twice:
            with self.subTest(payload), self.assertRaisesRegex(Refused, "a second"):
                decode(message(payload, (12, "00 0000"), payload))

    def test_takes_many_of_the_other_kinds_and_ignores_the_unexpected(self):
        many = [(3, "01" + "00" * 96 + "00"), (6, "00 0000"), (7, "00 0000"), (10, "00 00 0000"),
                (12, "00 0000"), (13, "01 03 00000000"), (14, "05 00 0000"), (14, "09 00 0000"),
                (15, "09 00"), (21, "00 0000")]
        payloads = decode(message(*many, *many)).payloads
        self.assertEqual(len(payloads), 2 * len(many))


class Policies(unittest.TestCase):
    def policy(self, *payloads):
        tp, = decode(message((16, "0001 01 01 000000" + nested(*payloads)))).payloads
        return tp

    RESPONDER = (14, "02 01 0000")

    def test_takes_what_6_10_lists(self):
        rfc_decoder.check_policy(self.policy(
            (14, "03 01 0000"), (14, "01 01 0000"), (13, "02 00 0000000000000000"),
            (13, "03 03 00000000"), (13, "04 03 00000e10"), (1, "00 0006 00 01 0000 01 5e 00"),
            (14, "05 01 0000"), (14, "05 01 0000"), self.RESPONDER, self.RESPONDER))

    def test_refuses_what_it_rules_out(self):
        for name, *payloads in (
                ("no responder", (14, "01 01 0000")),
                ("TRs twice", self.RESPONDER, (13, "02 03 00000000"), (13, "02 03 00000000")),
                ("IDRkms twice", self.RESPONDER, (14, "03 01 0000"), (14, "03 01 0000")),
                ("TRr in NTP", self.RESPONDER, (13, "04 01 0000000000000000")),
                ("an encrypted KEMAC", self.RESPONDER, (1, "01 0000 00")),
                ("a KEMAC with a MAC", self.RESPONDER, (1, "00 0000 01" + MAC_20)),
                ("a wished MPK", self.RESPONDER, (1, "00 0006 00 61 0000 01 5e 00")),
                ("a key without SPI", self.RESPONDER, (1, "00 0004 00 00 0000 00")),
                ("a key with an empty SPI", self.RESPONDER, (1, "00 0005 00 01 0000 00 00"))):
            with self.subTest(name), self.assertRaises(Refused):
                rfc_decoder.check_policy(self.policy(*payloads))


class Vectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scenarios = json.loads(VECTORS.read_text())["scenarios"]
        cls.messages = {(letter, name): bytes.fromhex(text)
                        for letter, scenario in scenarios.items()
                        for name, text in scenario["messages"].items()}

    def test_every_message_decodes_with_policy_and_ticket_data(self):
        tickets = 0
        for which, data in self.messages.items():
            with self.subTest(which):
                for payload in decode(data).payloads:
                    if payload.type in (rfc_decoder.TP, rfc_decoder.TICKET):
                        rfc_decoder.check_policy(payload)
                    if payload.type == rfc_decoder.TICKET:
                        parts = rfc_decoder.decode_ticket_data(data, payload)
                        self.assertEqual((parts[0].name, parts[-1].name), ("THDR", "V"))
                        tickets += 1
        self.assertGreater(tickets, 20)

    def test_request_init_reads_as_its_inputs_say(self):
        inputs = json.loads(VECTORS.read_text())["scenarios"]["m"]["inputs"]
        data = self.messages["m", "REQUEST_INIT"]
        message = decode(data)
        self.assertEqual(message.header.fields[0], 11)
        self.assertEqual(message.header.fields[3], int(inputs["request_csb_id"], 16))
        randr, = (payload for payload in message.payloads if payload.name == "RANDR")
        role, span = randr.fields
        self.assertEqual((role, data[span.offset:span.offset + span.length].hex()),
                         (1, inputs["request_randri"]))

    def test_every_message_is_refused_when_it_is_cut_anywhere(self):
        for which, data in list(self.messages.items())[::8]:
            for length in range(len(data)):
                with self.subTest(which, length=length), self.assertRaises(Refused):
                    decode(data[:length])


class Generator(unittest.TestCase):
    """What is compared is worth comparing: the generator keeps to the rules, and leaves them."""

    def test_is_the_same_every_time(self):
        for make in (message_generator.well_formed, message_generator.mutated):
            self.assertEqual(make(1, 7), make(1, 7))
            self.assertNotEqual(make(1, 7), make(1, 8))
            self.assertNotEqual(make(1, 7), make(2, 7))

    def test_well_formed_messages_decode_and_hold_every_payload_of_every_data_type(self):
        seen, data_types = set(), set()

        def note(payloads):
            for payload in payloads:
                seen.add(payload.type)
                for chain in payload.inner:
                    note(chain)

        for number in range(1000):
            message = decode(message_generator.well_formed(1, number))
            data_types.add(message.header.fields[0])
            note(message.payloads)
        self.assertEqual(data_types, set(range(19)))
        self.assertEqual(seen, set(rfc_decoder.PAYLOADS) | {rfc_decoder.KEY_DATA})

    def test_mutations_break_every_clause_and_leave_some_messages_whole(self):
        clauses, whole = set(), 0
        for number in range(6000):
            try:
                decode(message_generator.mutated(1, number))
                whole += 1
            except Refused as refused:
                clauses.add(refused.clause)
        self.assertLessEqual({kind.clause for kind in rfc_decoder.PAYLOADS.values()}, clauses)
        self.assertTrue(1000 < whole < 5000, whole)


if __name__ == "__main__":
    unittest.main()
