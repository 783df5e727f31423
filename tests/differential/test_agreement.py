"""Two decoders, one opinion: lib/mikey (mikey-decode-lines) and rfc_decoder.py have to accept and
refuse the same messages, and to find the same payloads, fields and positions in what they accept.

As a test: 100,000 well-formed and 100,000 mutated messages of a fixed seed. By hand, with the
binary's folder in KEYSTUB_BIN:

    test_agreement.py --seed 7 --count 1000000    other messages, and more of them
    test_agreement.py --seed 7 --mutated 4711     one of them, and both answers
    test_agreement.py --hex 010c05…               any octets, and both answers
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import unittest

import message_generator
import rfc_decoder
from rfc_decoder import Refused, Span

DECODE_LINES = pathlib.Path(os.environ.get("KEYSTUB_BIN", ".")) / "mikey-decode-lines"
CORPUS = pathlib.Path(__file__).resolve().parents[1] / "fuzz/corpus/mikey_message"
SEED = 6043
COUNT = 100_000
BATCH = 5_000  # messages per run of mikey-decode-lines
SHOWN = 5  # disagreements in a failure, the shortest messages first
PROCESSES = 2


# ---- the answer of the decoder in Python, in the words of mikey-decode-lines ---------------------


def text_of(field):
    """A number, a Span, nothing, or a group of these."""
    if isinstance(field, int):
        return str(field)
    if field is None or isinstance(field, Span):
        return f"{field.offset}+{field.length}" if field and field.length else "-"
    return "(" + ",".join(map(text_of, field)) + ")"


def text_of_chain(payloads):
    return " ".join(f"{payload.type}@{payload.offset}+{payload.length}" + text_of_content(payload)
                    for payload in payloads)


def text_of_content(payload):
    """The fields, and the chains inside; a KEMAC shows its ID, if any, and its key data."""
    text = text_of(payload.fields)
    for chain in payload.inner:
        if payload.type == rfc_decoder.KEMAC:
            ids = [part.fields for part in chain if part.type == rfc_decoder.ID]
            keys = [part.fields for part in chain if part.type == rfc_decoder.KEY_DATA]
            text += "[" + "".join(map(text_of, ids)) + text_of(keys) + "]"
        else:
            text += "[" + text_of_chain(chain) + "]"
    return text


def outcome_of_policy(payload):
    try:
        rfc_decoder.check_policy(payload)
        return " policy=accept"
    except Refused:
        return " policy=refuse"


def outcome_of_ticket_data(data, ticket):
    """Only for the layouts that lib/mikey knows: the MIKEY and the 3GPP base ticket."""
    if ticket.fields[:3] not in ((1, 1, 1), (2, 1, 1)):
        return " ticket-data=refuse"
    try:
        thdr, *parts = rfc_decoder.decode_ticket_data(data, ticket)
    except Refused:
        return " ticket-data=refuse"
    by_kind = {rfc_decoder.kind_of(part): part for part in parts}
    id_psk = by_kind.get((rfc_decoder.IDR, rfc_decoder.ID_PSK))
    return " ticket-data=" + "".join((
        text_of(thdr.fields), *(text_of_content(by_kind[kind]) for kind in (
            rfc_decoder.T, rfc_decoder.RAND, rfc_decoder.KEMAC)),
        text_of((1, id_psk.fields[-1]) if id_psk else (0, None)),
        text_of_content(by_kind[rfc_decoder.V])))


def answer_in_python(data):
    try:
        message = rfc_decoder.decode(data)
    except Refused as refused:
        return f"refuse {refused}"
    policies = [payload for payload in message.payloads
                if payload.type in (rfc_decoder.TP, rfc_decoder.TICKET)]
    policies.sort(key=lambda payload: payload.type)
    header = message.header
    return (f"accept {header.offset}+{header.length}{text_of(header.fields)} "
            + text_of_chain(message.payloads) + "".join(map(outcome_of_policy, policies))
            + "".join(outcome_of_ticket_data(data, payload) for payload in policies
                      if payload.type == rfc_decoder.TICKET))


# ---- comparing -----------------------------------------------------------------------------------


def answers_of_lib_mikey(messages):
    lines = "".join(data.hex() + "\n" for data in messages)
    result = subprocess.run([DECODE_LINES], input=lines, capture_output=True, text=True, check=True)
    answers = result.stdout.splitlines()
    if len(answers) != len(messages):
        raise RuntimeError(f"{len(messages)} messages, {len(answers)} answers: {result.stderr}")
    return answers


def agree(one, other):
    """Refusals are worded differently; whatever is accepted is described the same way."""
    return one == other or (one.startswith("refuse ") and other.startswith("refuse "))


class Tally:
    """What a number of comparisons came to."""

    def __init__(self):
        self.accepted = self.refused = 0
        self.disagreements = []  # (how to get the message again, octets, lib/mikey's, Python's)

    def add(self, which, data, in_cpp, in_python):
        if not agree(in_cpp, in_python):
            self.disagreements.append((which, data, in_cpp, in_python))
        elif in_python.startswith("accept"):
            self.accepted += 1
        else:
            self.refused += 1

    def merge(self, other):
        self.accepted += other.accepted
        self.refused += other.refused
        self.disagreements += other.disagreements

    def __str__(self):
        self.disagreements.sort(key=lambda disagreement: len(disagreement[1]))
        shown = [f"{which}\n  octets:    {data.hex()}\n  lib/mikey: {cpp}\n  Python:    {python}"
                 for which, data, cpp, python in self.disagreements[:SHOWN]]
        return "\n".join([f"{self.accepted} accepted and {self.refused} refused by both, "
                          f"{len(self.disagreements)} disagreements", *shown])


def compare_batch(make, seed, first, last):
    messages = [make(seed, number) for number in range(first, last)]
    tally = Tally()
    option = make.__name__.replace("_", "-")
    for number, data, in_cpp in zip(range(first, last), messages, answers_of_lib_mikey(messages)):
        tally.add(f"--seed {seed} --{option} {number}", data, in_cpp, answer_in_python(data))
    return tally


def compare(make, seed, count):
    """Tally of messages 0 to count - 1 that make(seed, number) makes."""
    total = Tally()
    with concurrent.futures.ProcessPoolExecutor(PROCESSES) as pool:
        batches = [pool.submit(compare_batch, make, seed, first, min(first + BATCH, count))
                   for first in range(0, count, BATCH)]
        for batch in batches:
            total.merge(batch.result())
    return total


class Agreement(unittest.TestCase):
    """MIKEY: lib/mikey and a decoder written from the RFCs in another language."""

    def test_on_well_formed_messages(self):
        tally = compare(message_generator.well_formed, SEED, COUNT)
        self.assertEqual((tally.accepted, tally.refused), (COUNT, 0), tally)

    def test_on_mutated_messages(self):
        tally = compare(message_generator.mutated, SEED, COUNT)
        self.assertEqual(tally.disagreements, [], tally)
        # A mutation that always breaks a message, or never does, would prove little.
        self.assertGreater(tally.accepted, COUNT // 5)
        self.assertGreater(tally.refused, COUNT // 5)

    def test_on_the_corpus_of_the_message_fuzzer(self):
        files = sorted(CORPUS.iterdir())
        messages = [file.read_bytes() for file in files]
        tally = Tally()
        for file, data, in_cpp in zip(files, messages, answers_of_lib_mikey(messages)):
            tally.add(file.name, data, in_cpp, answer_in_python(data))
        self.assertEqual(tally.disagreements, [], tally)
        self.assertGreater(tally.accepted, 20)

    def test_notices_a_disagreement(self):
        data = message_generator.well_formed(SEED, 0)
        answer = answer_in_python(data)
        self.assertTrue(agree(answer, answers_of_lib_mikey([data])[0]))
        for other in ("refuse 0 HDR RFC 3830 6.1: no", answer.replace("@", "@1", 1), answer + " "):
            self.assertFalse(agree(answer, other))


def main():
    parser = argparse.ArgumentParser(description="Compares lib/mikey with rfc_decoder.py.")
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--count", type=int, default=COUNT, help="messages of each sort")
    parser.add_argument("--well-formed", type=int, metavar="NUMBER", help="one message of the seed")
    parser.add_argument("--mutated", type=int, metavar="NUMBER", help="one message of the seed")
    parser.add_argument("--hex", type=bytes.fromhex, help="one message")
    options = parser.parse_args()
    data = options.hex
    if options.well_formed is not None:
        data = message_generator.well_formed(options.seed, options.well_formed)
    if options.mutated is not None:
        data = message_generator.mutated(options.seed, options.mutated)
    total = Tally()
    if data is not None:
        total.add("this message", data, *answers_of_lib_mikey([data]), answer_in_python(data))
        print(f"{data.hex()}\nlib/mikey: {answers_of_lib_mikey([data])[0]}\n"
              f"Python:    {answer_in_python(data)}")
    else:
        for make in (message_generator.well_formed, message_generator.mutated):
            tally = compare(make, options.seed, options.count)
            print(f"{make.__name__}: {tally}")
            total.merge(tally)
    return 1 if total.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
