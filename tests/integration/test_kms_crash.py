"""The short form of tests/soak/kms_crash.py."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))
import kms_crash  # noqa: E402


class KmsCrash(unittest.TestCase):
    def test_killed_under_load_it_keeps_every_promise(self):
        """KMS-6: acknowledged writes are there, the database is sound, replays are refused."""
        with tempfile.TemporaryDirectory(prefix="keystub-crash-") as folder:
            run = kms_crash.CrashRun(folder, seed=1)
            self.addCleanup(run.close)
            for _ in range(5):
                run.round()
            self.assertGreater(run.writer.acknowledged, 0)
            self.assertGreater(run.requester.granted, 0)
            self.assertGreater(run.replays_refused, 0)


if __name__ == "__main__":
    unittest.main()
