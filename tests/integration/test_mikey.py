"""mikey: explain, lint, diff and build, through the real binary."""

import base64
import hmac
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "lib" / "mikey" / "vectors"
CORPUS = ROOT / "tests" / "fuzz" / "corpus" / "mikey_message"
SCENARIOS = json.loads((VECTORS / "mikey-ticket-1.json").read_text())["scenarios"]
EXCHANGES = json.loads((VECTORS / "keystub-mikey-1.json").read_text())["exchanges"]

# Which message a response belongs to.
INITIAL = {
    "REQUEST_RESP": "REQUEST_INIT", "TRANSFER_RESP": "TRANSFER_INIT",
    "RESOLVE_RESP": "RESOLVE_INIT", "ERROR_about_REQUEST_INIT": "REQUEST_INIT",
    "ERROR_about_TRANSFER_INIT": "TRANSFER_INIT",
}


def hex_of(scenario, name):
    message = SCENARIOS[scenario]["messages"][name]
    return message if isinstance(message, str) else message["hex"]


def every_message():
    """The messages of the vectors and of the corpus by their names, none of them twice."""
    named = {path.read_bytes(): path.name for path in sorted(CORPUS.iterdir())}
    for scenario, content in SCENARIOS.items():
        for name in content["messages"]:
            named[bytes.fromhex(hex_of(scenario, name))] = f"{scenario} {name}"
    return {name: octets for octets, name in named.items()}


def key_mgmt_lines(messages):
    """Messages as one text: a process for each would take most of the time of these tests."""
    return "".join(f"a=key-mgmt:mikey {base64.b64encode(octets).decode()}\n"
                   for octets in messages)


def walk(nodes):
    for node in nodes:
        yield node
        yield from walk(node.get("fields", []))


class MikeyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-mikey-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content, mode=0o600):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def mikey(self, *arguments, stdin=None):
        return processes.run("mikey", *arguments, stdin=stdin)

    def mikey_ok(self, *arguments, stdin=None):
        return processes.run_ok("mikey", *arguments, stdin=stdin)

    def explained(self, *arguments, stdin=None):
        """The messages of explain --json."""
        return json.loads(self.mikey_ok("explain", "--json", *arguments, stdin=stdin))["messages"]


class Explain(MikeyTest):
    def test_every_octet_belongs_to_a_field(self):
        """Fields lie side by side, in every message of the vectors and the corpus."""
        messages = every_message()
        explained = self.explained(stdin=key_mgmt_lines(messages.values()))
        self.assertEqual(len(explained), len(messages))
        for (name, octets), message in zip(messages.items(), explained):
            with self.subTest(name):
                self.assertEqual(message["octets"], len(octets))
                covered = set()
                for node in walk(message["payloads"]):
                    if "fields" not in node:
                        covered.update(range(node["offset"], node["offset"] + node["length"]))
                self.assertEqual(covered, set(range(len(octets))))
                ends = 0
                for payload in message["payloads"]:
                    self.assertEqual(payload["offset"], ends)
                    ends += payload["length"]
                    self.assertRegex(payload["clause"], r"^RFC (3830|6043) \d")

    def test_shows_names_values_offsets_and_clauses(self):
        shown = self.mikey_ok("explain", stdin=hex_of("m", "TRANSFER_INIT"))
        for line in ("TRANSFER_INIT, 510 octets",
                     r"\n    0  HDR  -  RFC 6043 6.1\n",
                     r"\n    1    data type +TRANSFER_INIT \(14\)\n",
                     r"PRF func +PRF-HMAC-SHA-256 \(1\)",
                     r"ID data +\"sip:alice@example.com\"",
                     r"TS value +0xed56f2ca89daeb5a +# 2026-03-07 18:54:02.538 UTC",
                     r"flags +DEFGHIJNO",
                     r"Ticket Type +2 +# 3GPP Base Ticket",
                     r"THDR  -  RFC 6043 A.3"):
            self.assertRegex(shown, line)

    def test_reads_every_form_of_a_message(self):
        octets = bytes.fromhex(hex_of("m", "TRANSFER_INIT"))
        encoded = base64.b64encode(octets).decode()
        attribute = f"a=key-mgmt:mikey {encoded}\r\n"
        sdp = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{attribute}m=message 9 TCP *\r\n"
        sip = (f"INVITE sip:bob@example.com SIP/2.0\r\nContent-Type: multipart/mixed;boundary=x\r\n"
               f"\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--x--\r\n")
        spaced = "\n".join(re.findall(".{1,47}", " ".join(re.findall("..", octets.hex()))))
        forms = {
            "octets": octets, "hex": octets.hex(), "HEX": octets.hex().upper(),
            "0x": "0x" + octets.hex(), "hex dump": spaced, "colons": octets.hex(":"),
            "base64": encoded, "base64 lines": "\n".join(re.findall(".{1,76}", encoded)),
            "SDP": sdp, "SIP": sip, "one line": attribute, "quoted": f"> {attribute}",
        }
        for name, content in forms.items():
            with self.subTest(name):
                message, = self.explained(self.file("message", content))
                self.assertEqual(message["message"], "TRANSFER_INIT")
                self.assertEqual(message["octets"], len(octets))

    def test_reads_all_key_mgmt_lines_of_session_and_media(self):
        lines = [base64.b64encode(bytes.fromhex(hex_of(s, "TRANSFER_INIT"))).decode()
                 for s in "abm"]
        sdp = (f"v=0\na=key-mgmt:mikey {lines[0]}\nm=audio 1 RTP/SAVP 0\na=key-mgmt:keyp1 AAAA\n"
               f"a=key-mgmt:mikey {lines[1]}\nm=message 9 TCP/TLS/MSRP *\n"
               f"a=key-mgmt:mikey {lines[2]}\n")
        messages = self.explained(stdin=sdp)
        self.assertEqual([one["where"] for one in messages],
                         ["session", "media 1 (audio)", "media 2 (message)"])

    def test_verifies_and_opens_every_message_of_the_vectors(self):
        """Every MAC verifies, every KEMAC and every Ticket Data opens, with PSK and TPK."""
        for scenario, content in SCENARIOS.items():
            for name in content["messages"]:
                if name.startswith("UPDATE") or name in ("ERROR_about_REQUEST_RESP",
                                                         "ERROR_unauthenticated"):
                    continue  # keys of the exchange before; no MAC
                with self.subTest(f"{scenario} {name}"):
                    inputs = content["inputs"]
                    psk = inputs["psk_i" if "REQUEST" in name else "psk_r"]
                    keys = self.file("keys", f"# made up\npsk {psk}\ntpk {inputs['tpk']}\n")
                    arguments = ["--keys", keys]
                    if name in INITIAL:
                        arguments += ["--initial",
                                      self.file("initial", hex_of(scenario, INITIAL[name]))]
                    message, = self.explained(*arguments, stdin=hex_of(scenario, name))
                    self.assertTrue(message["checks"])
                    for check in message["checks"]:
                        self.assertEqual(check["outcome"], "good", check)

    def test_shows_the_keys_it_decrypts(self):
        results = SCENARIOS["m"]["results"]
        inputs = SCENARIOS["m"]["inputs"]
        keys = self.file("keys", f"psk {inputs['psk_r']}\n")
        initial = self.file("initial", hex_of("m", "RESOLVE_INIT"))
        message, = self.explained("--keys", keys, "--initial", initial,
                                  stdin=hex_of("m", "RESOLVE_RESP"))
        shown = {node["name"]: node["value"] for node in walk(message["payloads"])
                 if node.get("derived") and node["name"] in ("MPKi", "MPKr'", "TGK")}
        self.assertEqual(shown, {"MPKi": results["mpki"], "MPKr'": results["mpkr_forked"],
                                 "TGK": results["keys_forked"][0]["key"]})
        self.assertIn(results["mpki"], self.mikey_ok("explain", "--keys", keys, "--initial",
                                                     initial, stdin=hex_of("m", "RESOLVE_RESP")))

    def test_takes_any_of_the_keys_of_an_exchange(self):
        """MPK, MPKi, MPKr and MPKr' do as well as the TPK that leads to them."""
        inputs, results = SCENARIOS["m"]["inputs"], SCENARIOS["m"]["results"]
        keys = self.file("keys", f"mpki {results['mpki']}\nmpkr {results['mpkr']}\n")
        message, = self.explained("--keys", keys, stdin=hex_of("m", "TRANSFER_INIT"))
        self.assertEqual({check["what"]: check["outcome"] for check in message["checks"]},
                         {"Ticket Data": "skipped", "MAC of V": "good",
                          "MAC of Vr (Initiator Data)": "good"})
        initial = self.file("initial", hex_of("m", "TRANSFER_INIT"))
        for keys in (f"mpk {inputs['mpk']}", f"mpkr {results['mpkr']}",
                     f"mpkr' {results['mpkr_forked']}"):
            with self.subTest(keys.split()[0]):
                message, = self.explained("--keys", self.file("keys", keys), "--initial", initial,
                                          stdin=hex_of("m", "TRANSFER_RESP"))
                outcomes = {check["what"]: check["outcome"] for check in message["checks"]}
                self.assertEqual(outcomes["MAC of V"], "good")

    def test_says_that_a_mac_does_not_verify(self):
        for what, keys, message in (
                ("key", "psk " + "00" * 32, hex_of("m", "REQUEST_INIT")),
                ("message", f"psk {SCENARIOS['m']['inputs']['psk_i']}",
                 hex_of("m", "REQUEST_INIT").replace("6b6d73406578", "6b6d73406579", 1))):
            with self.subTest(what):
                done = self.mikey("explain", "--keys", self.file("keys", keys), stdin=message)
                self.assertEqual(done.returncode, 4)
                self.assertRegex(done.stdout, r"\nBAD +MAC of V: the MAC does not verify")

    def test_says_what_is_missing_to_verify(self):
        """Nothing is bad that could not be looked at."""
        psk, tpk = "psk " + "00" * 32, "tpk " + SCENARIOS["m"]["inputs"]["tpk"]
        of_j = SCENARIOS["j"]["inputs"]["tpk"]
        for message, keys, initial, complaint in (
                (("m", "REQUEST_INIT"), tpk, None,
                 r"MAC of V: needs the key that is shared with the KMS \(psk\)"),
                (("m", "REQUEST_RESP"), psk, None,
                 r"MAC of V: needs the message that it belongs to \(--initial\)"),
                (("m", "REQUEST_RESP"), psk, None, r"Ticket Data: needs .*\(tpk\)"),
                (("m", "TRANSFER_INIT"), psk, None, r"MAC of V: needs MPKi \(mpki, mpk or tpk\)"),
                (("m", "TRANSFER_INIT"), psk, None,
                 r"MAC of Vr \(Initiator Data\): needs MPKr \(mpkr, mpk or tpk\)"),
                (("m", "TRANSFER_RESP"), tpk, None, r"MAC of V: needs the message .*--initial"),
                (("m", "TRANSFER_RESP"), psk, ("m", "TRANSFER_INIT"),
                 r"MAC of V: needs MPKr' \(mpkr', mpkr, mpk or tpk\)"),
                (("i", "ERROR_about_REQUEST_INIT"), psk, None, r"MAC of V: .*--initial"),
                (("i", "ERROR_unauthenticated"), psk, None, r"MAC of V: the message has no V"),
                (("j", "UPDATE1_TRANSFER_INIT"), f"tpk {of_j}", None,
                 r"MAC of V: this is a CSB update"),
                (("j", "UPDATE1_TRANSFER_RESP"), f"tpk {of_j}", ("j", "UPDATE1_TRANSFER_INIT"),
                 r"MAC of V: this is a CSB update")):
            with self.subTest(message, complaint=complaint):
                arguments = ["--keys", self.file("keys", keys)]
                if initial:
                    arguments += ["--initial", self.file("initial", hex_of(*initial))]
                shown = self.mikey_ok("explain", *arguments, stdin=hex_of(*message))
                self.assertRegex(shown, rf"\nskipped +{complaint}")
                self.assertNotIn("BAD", shown)
        keys = self.file("keys", psk)
        shown = self.mikey_ok("explain", "--keys", keys, stdin=every_message()["type_01_1"].hex())
        self.assertRegex(shown, "skipped +MAC of V: messages of RFC 3830 are shown, and not opened")

    def test_what_a_message_leaves_out_comes_from_the_keys_or_is_named(self):
        """An identity may be known otherwise (RFC 6043 4.2.1.1); a RAND cannot."""
        exchange = EXCHANGES["mode1-256-forking"]
        inputs, auth_key = exchange["inputs"], exchange["message_keys"]["REQUEST_INIT"]["auth_key"]
        text = self.mikey_ok("explain", "--text", stdin=exchange["messages"]["REQUEST_INIT"])

        def message_without(payload):
            less = re.sub(rf"{payload}  #[^\n]*\n(  [^\n]*\n)*", "", text, count=1)
            self.assertNotEqual(less, text)
            octets = bytes.fromhex(self.mikey_ok("build", stdin=less))[:-32]
            covered = octets + "".join((inputs["identities"]["initiator"],
                                        inputs["identities"]["kms"])).encode()
            return (octets + hmac.digest(bytes.fromhex(auth_key), covered, "sha256")).hex()

        def explained(message, keys):
            return self.mikey_ok("explain", "--keys", self.file("keys", keys), stdin=message)

        psk = f"psk {inputs['psk_i']['key']}\n"
        nameless = message_without("IDR")
        self.assertRegex(explained(nameless, psk),
                         r"skipped +MAC of V: needs idri, which the message leaves out; add a line")
        self.assertRegex(explained(nameless, psk + "idri sip:alice@example.com\n"),
                         r"good +MAC of V: verifies with the PSK")
        self.assertRegex(explained(message_without("RANDR"), psk),
                         r"skipped +MAC of V: REQUEST_INIT_PSK has no RAND of its sender")

    def test_says_that_keys_do_not_open_though_the_mac_verifies(self):
        """Whoever has the keys may have encrypted something else (the length of a key is wrong)."""
        exchange = EXCHANGES["mode1-256-forking"]
        text = self.mikey_ok("explain", "--text", stdin=exchange["messages"]["REQUEST_RESP"])
        changed = re.sub(r"(\nKEMAC  #[^\n]*\n[^\n]*\n  Encr data: )[0-9a-f]{8}",
                         r"\g<1>00000000", text)
        self.assertNotEqual(changed, text)
        octets = bytes.fromhex(self.mikey_ok("build", stdin=changed))[:-32]
        auth_key = bytes.fromhex(exchange["message_keys"]["REQUEST_RESP"]["auth_key"])
        init = bytes.fromhex(exchange["messages"]["REQUEST_INIT"])
        message = octets + hmac.digest(auth_key, octets + init, "sha256")
        keys = self.file("keys", f"psk {exchange['inputs']['psk_i']['key']}\n")
        done = self.mikey("explain", "--keys", keys, "--initial", self.file("initial", init),
                          stdin=message.hex())
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stdout, r"\ngood +MAC of V: .*\nBAD +KEMAC: ")

    def test_verifies_and_opens_what_began_with_a_certificate(self):
        exchange = EXCHANGES["pk-mode1-256"]
        messages = exchange["messages"]
        for init, resp, party in (("REQUEST_INIT", "REQUEST_RESP", "pk_i"),
                                  ("RESOLVE_INIT", "RESOLVE_RESP", "pk_r")):
            keys = self.file("keys", f"envelope {exchange['inputs'][party]['envelope_key']}\n"
                                     f"tpk {exchange['inputs']['tpk']['key']}\n")
            initial = self.file("initial", messages[init])
            message, = self.explained("--keys", keys, stdin=messages[init])
            signed = next(check for check in message["checks"] if check["what"] == "SIGN")
            self.assertEqual(signed["outcome"], "good")
            self.assertIn("whether that is to be trusted was not looked at", signed["text"])
            message, = self.explained("--keys", keys, "--initial", initial, stdin=messages[resp])
            outcomes = {check["what"]: check for check in message["checks"]}
            self.assertEqual(outcomes["MAC of V"]["text"], "verifies with the envelope key")
            self.assertEqual(outcomes["KEMAC"]["outcome"], "good")

            # The pre-shared key of somebody is not what such an exchange is protected with.
            other = self.file("other", "psk " + "00" * 32)
            shown = self.mikey_ok("explain", "--keys", other, "--initial", initial,
                                  stdin=messages[resp])
            self.assertRegex(shown, r"skipped +MAC of V: needs the envelope key of the exchange")

    def test_verifies_an_error_about_a_message_with_a_certificate(self):
        """Under the auth_key that REQUEST_INIT_PK would have (RFC 6043 5.4)."""
        exchange = EXCHANGES["pk-mode1-128"]
        text = self.mikey_ok("explain", "--text", stdin=hex_of("i", "ERROR_about_REQUEST_INIT"))
        csb_id = exchange["inputs"]["request"]["csb_id"]
        error = bytes.fromhex(self.mikey_ok("build", stdin=re.sub(
            r"CSB ID: .*", f"CSB ID: 0x{csb_id}", text)))[:-20]
        auth_key = bytes.fromhex(exchange["message_keys"]["REQUEST_INIT"]["auth_key"])
        error += hmac.digest(auth_key, error, "sha1")
        keys = self.file("keys", f"envelope {exchange['inputs']['pk_i']['envelope_key']}\n")
        initial = self.file("initial", exchange["messages"]["REQUEST_INIT"])
        shown = self.mikey_ok("explain", "--keys", keys, "--initial", initial, stdin=error.hex())
        self.assertRegex(shown, r"good +MAC of V: verifies with the envelope key")

    def test_says_why_a_signature_does_not_verify(self):
        message = EXCHANGES["pk-mode1-256"]["messages"]["REQUEST_INIT"]
        keys = self.file("keys", "envelope " + "00" * 32)
        changed = message[:-2] + f"{int(message[-2:], 16) ^ 1:02x}"
        done = self.mikey("explain", "--keys", keys, stdin=changed)
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stdout, r"\nBAD +SIGN: the signature does not verify")
        text = self.mikey_ok("explain", "--text", stdin=message)
        for edit, complaint in (
                (("(?s)CERT  #.*?(?=IDR)", ""), "the message has no certificate of its sender"),
                (("(?s)IDR  #.*?(?=CERT)", ""), "needs idri, which the message leaves out")):
            less = re.sub(*edit, text, count=1)
            self.assertNotEqual(less, text)
            shown = self.mikey_ok("explain", "--keys", keys,
                                  stdin=self.mikey_ok("build", stdin=less))
            self.assertRegex(shown, rf"\nskipped +SIGN: {complaint}")

    def test_says_that_a_ticket_does_not_open(self):
        done = self.mikey("explain", "--keys", self.file("keys", "tpk " + "00" * 32),
                          stdin=hex_of("m", "TRANSFER_INIT"))
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stdout, r"\nBAD +Ticket Data: the MAC does not verify")
        text = self.mikey_ok("explain", "--text", stdin=hex_of("m", "TRANSFER_INIT"))
        tpk = self.file("keys", f"tpk {SCENARIOS['m']['inputs']['tpk']}")
        def explain_edited(before, after):
            edited = re.sub(before, after, text, count=1)
            self.assertNotEqual(edited, text)
            return self.mikey("explain", "--keys", tpk,
                              stdin=self.mikey_ok("build", stdin=edited)).stdout
        # What a ticket of another type holds, its type says: nothing is wrong with it.
        self.assertRegex(explain_edited("Ticket Type: 2", "Ticket Type: 9"),
                         r"\nskipped +Ticket Data: what a ticket of type 9/1/1 holds is not known")
        self.assertRegex(explain_edited(r"Ticket Data\n(    .*\n)*", "Ticket Data: 00\n"),
                         r"\nBAD +Ticket Data: cut short")

    def test_keys_come_from_a_private_file_or_standard_input(self):
        message = self.file("message", hex_of("m", "REQUEST_INIT"))
        line = f"psk {SCENARIOS['m']['inputs']['psk_i']}\n"
        self.mikey_ok("explain", message, "--keys", "-", stdin=line)
        open_file = self.file("keys", line, mode=0o644)
        self.assertEqual(self.mikey("explain", message, "--keys", open_file).returncode, 5)
        for wrong in ("psk zz", "psk", "psk 00 00", "tgk 0011", "psk 00\npsk 00", "psk " + "0" * 31):
            done = self.mikey("explain", message, "--keys", "-", stdin=f"\n{wrong}\n")
            self.assertEqual(done.returncode, 3, wrong)
            self.assertRegex(done.stderr, r"^mikey: line \d of the keys: ")
            self.assertNotIn("zz", done.stderr)
        done = self.mikey("explain", "--keys", "-", stdin=line)
        self.assertEqual(done.returncode, 3)
        self.assertIn("both", done.stderr)

    def test_goes_on_behind_a_message_that_is_none(self):
        good = base64.b64encode(bytes.fromhex(hex_of("m", "TRANSFER_INIT"))).decode()
        sdp = f"m=audio 1 x 0\na=key-mgmt:mikey AAAA\nm=video 1 x 0\na=key-mgmt:mikey {good}\n"
        done = self.mikey("explain", stdin=sdp)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"^mikey: media 1 \(audio\): MIKEY version 0; only 1 exists")
        self.assertIn("media 2 (video): TRANSFER_INIT", done.stdout)
        done = self.mikey("explain", "--json", stdin=sdp)
        self.assertEqual((done.returncode, done.stderr), (3, ""))
        none, message = json.loads(done.stdout)["messages"]
        self.assertEqual((none["where"], message["where"]), ("media 1 (audio)", "media 2 (video)"))
        self.assertIn("MIKEY version 0; only 1 exists", none["error"])
        self.assertEqual(message["message"], "TRANSFER_INIT")


class Build(MikeyTest):
    def test_gives_the_octets_that_explain_was_given(self):
        """Text and JSON form, every message of the vectors and of the corpus."""
        messages = every_message()
        lines = key_mgmt_lines(messages.values())
        texts = re.split(r"(?m)^(?=# session: )", self.mikey_ok("explain", "--text", stdin=lines))
        jsons = [json.dumps(message) for message in self.explained(stdin=lines)]
        self.assertEqual((len(texts), len(jsons)), (len(messages) + 1, len(messages)))
        for (name, octets), *forms in zip(messages.items(), texts[1:], jsons):
            for form in forms:
                with self.subTest(name, form=form[:9]):
                    self.assertEqual(self.mikey_ok("build", stdin=form).strip(), octets.hex())

    def test_writes_every_form(self):
        octets = bytes.fromhex(hex_of("m", "TRANSFER_INIT"))
        text = self.file("text", self.mikey_ok("explain", "--text", stdin=octets.hex()))
        encoded = base64.b64encode(octets).decode()
        self.assertEqual(self.mikey_ok("build", text, "--as", "base64"), encoded + "\n")
        self.assertEqual(self.mikey_ok("build", text, "--as", "key-mgmt"),
                         f"a=key-mgmt:mikey {encoded}\n")
        done = subprocess.run([processes.BIN / "mikey", "build", text, "--as", "octets"],
                              capture_output=True, check=True)
        self.assertEqual(done.stdout, octets)
        built = json.loads(self.mikey_ok("build", text, "--json"))
        self.assertEqual((built["message"], built["hex"], built["base64"], built["octets"]),
                         ("TRANSFER_INIT", octets.hex(), encoded, len(octets)))

    def test_takes_names_numbers_and_remarks(self):
        built = self.mikey_ok("build", stdin="""
# An Error message about nothing in particular.
HDR
    version: 1
    data type: Error message
    V: 0
    PRF func: 1            # PRF-HMAC-SHA-256
    CSB ID: 0x01020304
    #CS: 0
    CS ID map type: Empty map (1)
T
    TS type: COUNTER
    TS value: 7
General Ext.
    Type: Vendor ID
    Data: "a # b"
ERR
    Error no: Invalid TICKET
    Reserved: 0
""")
        self.assertEqual(built.strip(), "01060501010203040001" "150200000007" "0c000005"
                         "6120232062" "000e0000")

    def test_says_which_line_is_wrong(self):
        text = self.mikey_ok("explain", "--text", stdin=hex_of("m", "REQUEST_INIT"))
        for before, after, complaint in (
                ("TS type: NTP-UTC (0)", "TS type: noon", r"line 11: 'noon' is no TS type"),
                ("V: 1", "V: 2", r"line 5: V is a number of 1 bits"),
                ("version: 1", "version: 2", r"line 3: version can only be 1"),
                ("CSB ID: 0x76818bb6", "CSB: 1", r"line 7: 'CSB ID' is expected here, not 'CSB'"),
                ("RAND: e0", "RAND: xe0", r"line 15: RAND is given in hex or in quotes"),
                ("RANDR  #", "RANDX  #", r"'RANDX' is no payload"),
                ("  #CS: 0", "  #CS: 0\n      deep: 1", r"line 9: it is indented"),
                ("flags: DEFGHIJNO", "flags: DEZ", r"'Z' is not a ticket flag"),
                ("HDR  # RFC 6043 6.1", "HEAD", r"line 2: 'HDR' is expected here, not 'HEAD'"),
                ("#CS: 0\n  CS ID map type: Empty map (1)", "#CS: 1\n  CS ID map type: GENERIC-ID (2)",
                 r"#CS is 1, and 0 crypto sessions"),
                ("      MAC:", "      MAC:\n      More: 1", r"KEMAC has no 'More' here"),
                ("RANDR  #", "T: 00\nRANDR  #", r"'T' is no payload"),
                ("  CS ID map type: Empty map (1)\n", "", r"HDR ends without 'CS ID map type'"),
                ("RAND: e0", "RAND: " + "00" * 300 + "e0", r"RAND has at most 255 octets, not"),
                ("V: 1", "V: 1)", r"line 5: V is a number of 1 bits, not '1\)'"),
                ("Ver data: a65a", "Ver data: ", r"what was built is no message: cut short"),
                ("  TP Data\n", "  TP Data\n    SP\n      Policy no: 0\n      Prot type: TLS\n"
                                "      Policy param\n" + ("        parameter\n          Type: 1\n"
                                "          Value: " + "00" * 255 + "\n") * 256,
                 r"too long for its field Policy param length"),
        ):
            with self.subTest(after):
                self.assertIn(before, text)
                done = self.mikey("build", stdin=text.replace(before, after, 1))
                self.assertEqual(done.returncode, 3)
                self.assertRegex(done.stderr, complaint)

    def test_refuses_json_that_is_no_message(self):
        for json_text, complaint in (
                ("{", "no JSON"), ("{}", "payloads"), ("[1]", "object with a name"),
                ('[{"name": "HDR"}]', "neither a value"), ('{"messages": []}', "0 messages"),
                ('{"payloads": 1}', "arrays of objects"), ("[]", "'HDR' is missing"),
                ('{"payloads": [' + '{"name": "a", "fields": [' * 18 + ']}' * 18 + "]}",
                 "nested too deeply")):
            with self.subTest(json_text):
                done = self.mikey("build", stdin=json_text)
                self.assertEqual(done.returncode, 3)
                self.assertIn(complaint, done.stderr)


class Lint(MikeyTest):
    def findings(self, message):
        done = self.mikey("lint", "--json", stdin=message)
        self.assertEqual(done.stderr, "")
        found = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if found else 0)
        return found

    def test_finds_nothing_wrong_with_the_vectors(self):
        # k and l use COUNTER and NTP-UTC-32 in T, which is unusual and allowed.
        unusual = {"k", "l"}
        for scenarios in (SCENARIOS.keys() - unusual, unusual):
            octets = [bytes.fromhex(hex_of(scenario, name)) for scenario in sorted(scenarios)
                      for name in SCENARIOS[scenario]["messages"]]
            found = self.findings(key_mgmt_lines(octets))
            self.assertEqual([(one["severity"], one["payload"]) for one in found],
                             [("warning", "T")] * len(octets) if scenarios == unusual else [])

    def check_edit(self, message, edits, clause, complaint):
        """A rule that is broken by editing the text form of a genuine message."""
        text = self.mikey_ok("explain", "--text", stdin=message)
        for before, after in edits:
            changed = re.sub(before, after, text, count=1)
            self.assertNotEqual(changed, text, before)
            text = changed
        found = self.findings(self.mikey_ok("build", stdin=text))
        hits = [one for one in found if one["clause"] == clause
                and re.search(complaint, one["text"])]
        self.assertTrue(hits, found)

    def test_finds_what_is_wrong(self):
        t = r"T  # RFC 3830 6\.6\n[^\n]*\n[^\n]*\n"
        idr_r = (r"IDR  #[^\n]*\n  ID Role: IDRr[^\n]*\n[^\n]*\n[^\n]*\n")
        an_id = 'ID\n  ID type: URI\n  ID data: "sip:a@b"\n'
        sp = "SP\n  Policy no: 0\n  Prot type: TLS\n  Policy param:\n"
        rows = (
            ("REQUEST_INIT", [(t, "")], "RFC 6043 4.2.1", "lacks T"),
            ("REQUEST_INIT", [(r"\n  V: 1", "\n  V: 0")], "RFC 6043 4.2.1.1", "V flag is 0"),
            ("REQUEST_INIT", [(r"#CS: 0", "#CS: 3")], "RFC 6043 4.2.1.1", "Empty map"),
            ("REQUEST_INIT", [(r"\nTP  #", f"\n{an_id}TP  #")], "RFC 6043 6.6", "never by ID"),
            ("REQUEST_INIT", [(r"\nTP  #", f"\n{sp}TP  #")], "RFC 6043 4.2.1", "not expected"),
            ("REQUEST_INIT", [(r"\nTP  #", f"\n{sp}TP  #")], "RFC 4563 5", "Empty map"),
            ("REQUEST_INIT", [(r"RAND: [0-9a-f]{2}.*", "RAND: 0011")], "RFC 6043 12.1",
             "RANDRi has 2 octets"),
            ("REQUEST_INIT", [(r"RAND: [0-9a-f]{2}.*", "RAND: " + "00" * 16)], "RFC 6043 12.1",
             "too few for the 32-octet keys"),
            ("REQUEST_INIT", [("flags: DEFGHIJNO", "flags: DEGHIJNO")], "RFC 6043 6.10",
             "G implies F"),
            ("REQUEST_INIT", [("flags: DEFGHIJNO", "flags: DEFGHIJKNO")], "RFC 6043 6.10",
             "K shall be 0"),
            ("REQUEST_INIT", [("Res: 0", "Res: 1")], "RFC 6043 6.10", "reserved bits"),
            ("REQUEST_INIT", [("Key data: 00", "Key data: 01")], "RFC 6043 6.10",
             "key data of a wish shall be 0"),
            ("REQUEST_INIT", [("PRF func: .*", "PRF func: MIKEY-1")], "RFC 6043 12.1",
             "must not be mixed"),
            ("REQUEST_INIT", [("TS type: .*", "TS type: COUNTER"), ("TS value: .*",
                                                                   "TS value: 1")],
             "RFC 3830 6.6", "COUNTER"),
            ("REQUEST_INIT", [("ID Role: IDRkms.*", "ID Role: 9")], "RFC 6043 6.6",
             "ID Role 9 is unassigned"),
            ("REQUEST_INIT", [("ID Role: IDRkms.*", "ID Role: 9")], "RFC 6043 4.2.1.1",
             "IDRkms should be there"),
            ("REQUEST_RESP", [(r"\n  V: 0", "\n  V: 1")], "RFC 6043 6.1", "0 in answers"),
            ("REQUEST_RESP", [(r"(\nKEMAC.*\n  Encr alg: ).*", r"\1NULL\n  Encr data:\n  #"),
                              (r"  #\n.*Encr data: .*", "")], "RFC 6043 12.1", "NULL"),
            ("TRANSFER_INIT", [(r"\n  V: 1", "\n  V: 0")], "RFC 6043 4.2.2.1", "F flag"),
            ("TRANSFER_INIT", [(r"Initiator Data\n(    .*\n)*", "Initiator Data:\n")],
             "RFC 6043 6.10", "Initiator Data are missing"),
            ("TRANSFER_INIT", [(r"(Initiator Data\n    V .*\n.*\n      Ver data: )..", r"\g<1>00")],
             "RFC 6043 4.2.3.6", "another message"),
            ("TRANSFER_INIT", [(r"Ps:", "Ps: 05")], "RFC 6043 6.1.1", "names policy 5"),
            ("TRANSFER_INIT", [(r"\nTICKET", f"\n{sp}{sp}TICKET")], "RFC 3830 6.10", "two SP"),
            ("TRANSFER_INIT", [(r"TP Data\n(    IDR.*\n.*\n.*\n.*\n)*((    TR.*\n.*\n.*\n.*\n)*)"
                                r"(    IDR.*\n.*\n.*\n.*\n)*", r"TP Data\n\2")], "RFC 6043 6.10",
             "no responder"),
            ("TRANSFER_INIT", [(r"(TRs.*\n.*\n.*TS value: ).*", r"\g<1>0xff000000")],
             "RFC 6043 6.10", "ends .* before it begins"),
            ("TRANSFER_INIT", [("CS ID map type: .*", "CS ID map type: Empty map"),
                               (r"  crypto session\n(    .*\n)*", "")], "RFC 6043 6.1",
             "GENERIC-ID map should be used"),
            ("TRANSFER_INIT", [("CS ID map type: .*", "CS ID map type: SRTP-ID"),
                               (r"  crypto session\n(    .*\n)*",
                                "  crypto session\n    Policy_no: 0\n    SSRC: 1\n    ROC: 0\n")],
             "RFC 6043 6.1", "SRTP-ID map shall not"),
            ("TRANSFER_RESP", [(r"SPI: .*", "SPI:")], "RFC 6043 6.1.1", "has no SPI"),
            ("TRANSFER_RESP", [(r"Prot type: .*", "Prot type: SRTP")], "RFC 6043 6.1.1",
             "exactly one"),
            ("TRANSFER_RESP", [(r"Prot type: .*", "Prot type: SRTP"), (r"Ps:", "Ps: 00")],
             "RFC 6043 6.1.1", "Session Data"),
            ("RESOLVE_INIT", [(idr_r, "")], "RFC 6043 4.2.3", "IDRr should be there"),
            ("TRANSFER_INIT", [(r"\nTICKET", "\nKEMAC\n  Encr alg: AES-CM-256\n  Encr data: 00\n"
                                              "  Mac alg: NULL\n  MAC:\nTICKET")],
             "RFC 6043 4.2.2.1", "does not let the initiator supply"),
            ("TRANSFER_INIT", [(r"\nTICKET", "\nSP\n  Policy no: 0\n  Prot type: SRTP\n"
                                              "  Policy param\n    parameter\n      Type: 0\n"
                                              "      Value: 09\n    parameter\n      Type: 0\n"
                                              "      Value: 01\nTICKET")],
             "RFC 3830 6.10.1", "is given twice"),
            ("TRANSFER_INIT", [(r"\nTICKET", "\nSP\n  Policy no: 0\n  Prot type: SRTP\n"
                                              "  Policy param\n    parameter\n      Type: 0\n"
                                              "      Value: 09\nTICKET")],
             "RFC 3830 6.10.1", "9 is unassigned"),
            ("TRANSFER_INIT", [(r"(\n  TP Data\n(    .*\n)*)",
                                r"\1    KEMAC\n      Encr alg: NULL\n      Encr data:\n"
                                r"      Mac alg: NULL\n      MAC:\n")],
             "RFC 6043 6.10", "shall not hold a KEMAC"),
            ("REQUEST_INIT", [(r"(\n  TP Data\n(    .*\n)*)",
                               rf"\1    RAND\n      RAND: {'00' * 16}\n")],
             "RFC 6043 6.10", "RAND is not expected in TP Data"),
            ("RESOLVE_INIT", [(r"(Ticket Data\n(.*\n)*?.*Encr alg: ).*", r"\g<1>NULL")],
             "", "NULL"),
        )
        for name, edits, clause, complaint in rows:
            with self.subTest(f"{name} {complaint}"):
                if clause:
                    self.check_edit(hex_of("m", name), edits, clause, complaint)
                else:
                    # The KEMAC of the Ticket Data is parsed no more: its key data are no key data.
                    text = self.mikey_ok("explain", "--text", stdin=hex_of("m", name))
                    changed = re.sub(edits[0][0], edits[0][1], text, count=1)
                    changed = re.sub(r"(Encr alg: NULL\n.*Encr data:) .*", r"\1", changed, count=1)
                    found = self.findings(self.mikey_ok("build", stdin=changed))
                    self.assertTrue(any("NULL" in one["text"] for one in found), found)

    def test_finds_what_is_wrong_with_messages_of_rfc_3830(self):
        octets = every_message()["type_00_1"]
        text = self.mikey_ok("explain", "--text", stdin=octets.hex())
        moved = re.sub(r"(?s)(KEMAC.*?\n)(?=\S|$)", "", text, count=1)
        self.assertTrue(any("lacks KEMAC" in one["text"]
                            for one in self.findings(self.mikey_ok("build", stdin=moved))))
        an_id = '\nID\n  ID type: URI\n  ID data: "sip:a@b"\n'
        self.check_edit(octets.hex(), [(r"\nKEMAC", an_id * 3 + "KEMAC")], "RFC 3830 3.1",
                        r"\d ID payloads; .* has 2 at most")
        self.check_edit(octets.hex(), [(r"\Z", "General Ext.\n  Type: Vendor ID\n  Data:\n")],
                        "RFC 3830 6.2", "so it is the last payload")

    def test_says_why_octets_are_no_message(self):
        found = self.findings(hex_of("m", "REQUEST_INIT")[:-2])
        self.assertEqual(len(found), 1)
        self.assertEqual((found[0]["severity"], found[0]["payload"], found[0]["clause"]),
                         ("error", "V", "RFC 3830 6.9"))
        self.assertIn("cut short", found[0]["text"])

    def test_prints_a_line_per_finding(self):
        text = self.mikey_ok("explain", "--text", stdin=hex_of("m", "REQUEST_INIT"))
        message = self.mikey_ok("build", stdin=text.replace("\n  V: 1", "\n  V: 0"))
        done = self.mikey("lint", stdin=message)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "error: HDR at octet 3 (RFC 6043 4.2.1.1): the V flag is 0: "
                                      "it must be 1 in REQUEST_INIT\n")


class Diff(MikeyTest):
    def test_finds_no_difference_between_forms_of_one_message(self):
        octets = bytes.fromhex(hex_of("m", "TRANSFER_INIT"))
        done = self.mikey("diff", self.file("a", octets), self.file("b", octets.hex()))
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_names_fields_payloads_and_values(self):
        text = self.mikey_ok("explain", "--text", stdin=hex_of("m", "TRANSFER_INIT"))
        changed = (text.replace("\n  V: 1", "\n  V: 0")
                   .replace('"sip:user1@example.com"', '"sip:user2@example.com"', 1)
                   .replace("\nTICKET", "\nSP\n  Policy no: 7\n  Prot type: TLS\n"
                                        "  Policy param:\nTICKET"))
        a = self.file("a", hex_of("m", "TRANSFER_INIT"))
        b = self.file("b", self.mikey_ok("build", stdin=changed))
        done = self.mikey("diff", a, b)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.splitlines(), [
            "- HDR / V: 1", "+ HDR / V: 0",
            '- IDR 2 / ID data: "sip:user1@example.com"',
            '+ IDR 2 / ID data: "sip:user2@example.com"',
            "+ SP: 5 octets"])
        self.assertEqual(json.loads(self.mikey("diff", "--json", b, a).stdout), [
            {"path": "HDR / V", "a": "0", "b": "1"},
            {"path": "IDR 2 / ID data", "a": '"sip:user2@example.com"',
             "b": '"sip:user1@example.com"'},
            {"path": "SP", "a": "5 octets"}])


    def test_does_not_compare_more_parts_than_it_can(self):
        text = self.mikey_ok("explain", "--text", stdin=hex_of("m", "TRANSFER_INIT"))
        def with_parameters(count):
            sp = ("\nSP\n  Policy no: 7\n  Prot type: TLS\n  Policy param\n"
                  + "    parameter\n      Type: 1\n      Value:\n" * count + "TICKET")
            return self.mikey_ok("build", stdin=text.replace("\nTICKET", sp, 1))
        a, b = self.file("a", with_parameters(1000)), self.file("b", with_parameters(1001))
        done = self.mikey("diff", a, b)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.splitlines(), [
            "- SP / Policy param: 1000 parts",
            "+ SP / Policy param: 1001 parts, too many to be compared one by one"])


class CommandLine(MikeyTest):
    def test_exit_codes(self):
        message = self.file("message", hex_of("m", "TRANSFER_INIT"))
        rows = (
            (0, ["--help"]), (0, ["--version"]), (0, ["explain", "--help"]),
            (2, []), (2, ["frobnicate"]), (2, ["explain", message, message]),
            (2, ["diff", message]), (2, ["explain", "--json", "--text", message]),
            (2, ["build", message, "--as", "mp3"]),
            (3, ["explain", self.file("bad", "this is no message")]),
            (3, ["explain", self.file("empty", "")]),
            (3, ["lint", self.file("none", "a=key-mgmt:keyp1 AAAA\n")]),
            (3, ["explain", self.file("attribute", "a=key-mgmt:mikey A?\n")]),
            (3, ["explain", self.file("large", b"\x01" * (1 << 21))]),
            (3, ["diff", message, self.file("two", "a=key-mgmt:mikey AQ==\n" * 2)]),
            (3, ["diff", "-", "-"]), (3, ["build", message]),
            (6, ["explain", self.folder / "nowhere"]),
            (6, ["explain", message, "--keys", self.folder / "nowhere"]),
            (6, ["explain", message, "--initial", self.folder / "nowhere"]),
            (10, ["explain", self.folder]),
        )
        for code, arguments in rows:
            with self.subTest(" ".join(map(str, arguments))):
                done = self.mikey(*arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                if code > 2:
                    self.assertRegex(done.stderr, r"^mikey: .+\n$")

    def test_help_and_manuals_tell_the_same_exit_codes_verbs_and_options(self):
        manual = (ROOT / "docs" / "man" / "mikey.1").read_text()
        guide = (ROOT / "docs" / "mikey.md").read_text()
        codes = re.findall(r"^ +(\d+) ", self.mikey_ok("--help").split("Exit codes:")[1], re.M)
        self.assertEqual(re.findall(r"^\.B (\d+)$", manual, re.M), codes)
        self.assertEqual(re.findall(r"^\| (\d+) \|", guide, re.M), codes)
        for verb in ("explain", "lint", "diff", "build"):
            self.assertRegex(manual, rf"(?m)^\.B {verb}$")
            for option in re.findall(r"--[a-z]+", self.mikey_ok(verb, "--help")):
                if option == "--help":
                    continue
                self.assertIn(option, guide)
                self.assertIn(option.replace("-", "\\-"), manual)

    def test_manual_page_has_no_fault(self):
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", ROOT / "docs/man/mikey.1"],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("look into MIKEY messages", done.stdout)

    def test_examples_of_the_guide_do_what_it_says(self):
        """Each "$ mikey …" of docs/mikey.md prints what stands below it; "…" is for anything."""
        inputs = SCENARIOS["m"]["inputs"]
        offer = bytes.fromhex(hex_of("m", "TRANSFER_INIT"))
        self.file("offer.hex", offer.hex())
        self.file("request.hex", hex_of("m", "REQUEST_INIT"))
        self.file("response.hex", hex_of("m", "REQUEST_RESP"))
        self.file("invite.txt", "INVITE sip:bob@example.com SIP/2.0\n\nv=0\n"
                                f"a=key-mgmt:mikey {base64.b64encode(offer).decode()}\n")
        self.file("alice.keys", f"psk {inputs['psk_i']}\n")
        guide = (ROOT / "docs" / "mikey.md").read_text()
        for name, content in re.findall(r"(?ms)^`(\S+)`:\n\n```text\n(.*?)^```", guide):
            self.file(name, content)
        examples = re.findall(r"(?ms)^```console\n(.*?)^```", guide)
        self.assertGreater(len(examples), 4)
        for example in examples:
            for command, expected in re.findall(r"(?ms)^\$ (.*?)\n((?:[^$].*?\n|\n)*)", example):
                with self.subTest(command):
                    done = subprocess.run(["sh", "-c", command], cwd=self.folder, text=True,
                                          capture_output=True, check=False,
                                          env={"PATH": f"{processes.BIN}:/usr/bin:/bin"})
                    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
                    self.assertRegex(done.stdout + done.stderr, f"(?s)^{pattern}$")


if __name__ == "__main__":
    unittest.main()
