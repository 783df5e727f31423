"""No branch and no address depends on a key, as far as memcheck can follow it (see ct_mikey.cc)."""

import os
import pathlib
import re
import subprocess
import unittest

PROGRAM = pathlib.Path(os.environ["KEYSTUB_BIN"]) / "ct-mikey"
SUPPRESSIONS = pathlib.Path(__file__).with_name("memcheck.supp")
REPORTED = 99


def memcheck(*arguments, suppressions=True):
    options = [f"--suppressions={SUPPRESSIONS}"] if suppressions else []
    return subprocess.run(["valgrind", "--quiet", f"--error-exitcode={REPORTED}", *options,
                           PROGRAM, *arguments],
                          text=True, capture_output=True, timeout=120, check=False)


def places(done):
    """Where the reports are: the innermost function of each."""
    reports = re.split(r"(?:Conditional jump|Use of uninitialised)", done.stderr)[1:]
    return [re.search(r"at 0x[0-9A-F]+: ([^\s(]+)", report)[1] for report in reports]


class ConstantTime(unittest.TestCase):
    def test_library_does_not_depend_on_secrets(self):
        done = memcheck()
        cases = re.findall(r"^(ok|LEAKS) (.*)$", done.stdout, re.M)
        for verdict, name in cases:
            with self.subTest(case=name):
                self.assertEqual(verdict, "ok", done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(("ok", "verify_mac"), cases)
        self.assertIn(("ok", "opening and deriving, 256-bit suite"), cases)

    def test_only_the_outcome_of_a_mac_check_is_excused(self):
        """Without the exceptions there are reports, so the secrets were followed to the end."""
        done = memcheck(suppressions=False)
        self.assertEqual(done.returncode, REPORTED)
        self.assertIn("keystub::mikey::verify_mac", places(done))
        self.assertLessEqual(set(places(done)),
                             {"keystub::mikey::verify_mac", "CRYPTO_ctr128_encrypt_ctr32"})

    def test_comparison_that_stops_early_is_reported(self):
        done = memcheck("early-exit")
        self.assertEqual(done.returncode, REPORTED)
        self.assertIn("equal_early_exit", done.stderr)

    def test_address_that_depends_on_a_key_is_reported(self):
        done = memcheck("table-lookup")
        self.assertEqual(done.returncode, REPORTED)
        self.assertIn("look_up", done.stderr)

    def test_program_refuses_to_pass_without_valgrind(self):
        done = subprocess.run([PROGRAM], capture_output=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 2)
