"""Counts what the test runners reported, for the closing line of ./run test.

count_results.py FOLDER [FAILED-STAGE...]: each folder below FOLDER holds one run: ctest.junit, and
a NAME.xml for each GoogleTest binary that ran as the ctest test NAME. A GoogleTest binary counts by
its cases, any other test as one. A binary that failed though all its cases passed (a leak, a crash,
a timeout) is one failure more, and so is a failed stage without a failed test in it.
"""

import pathlib
import sys
import tempfile
import xml.etree.ElementTree as ET


def count_gtest(path):
    """(passed, failed) of a GoogleTest report; None if it is not there or was cut short."""
    try:
        suites = ET.parse(path).getroot()
    except (OSError, ET.ParseError):
        return None
    passed = failed = 0
    for case in suites.iter("testcase"):
        if case.get("status") == "notrun" or case.get("result") in ("skipped", "suppressed"):
            continue
        if case.find("failure") is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed


def count_run(folder):
    """(passed, failed, names of what failed) of one ctest run."""
    try:
        suite = ET.parse(folder / "ctest.junit").getroot()
    except (OSError, ET.ParseError):
        return 0, 0, []
    passed = failed = 0
    names = []
    for test in suite.iter("testcase"):
        name = test.get("name")
        ok = test.get("status") == "run"
        skipped = test.find("skipped")
        # A test that skipped itself is neither; one that could not be run is a failure.
        if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
            continue
        cases = count_gtest(folder / f"{name}.xml")
        if cases is None:
            passed += ok
            failed += not ok
        else:
            passed += cases[0]
            failed += cases[1]
            if not ok and cases[1] == 0:
                failed += 1
        if not ok:
            names.append(f"{folder.name}: {name}")
    return passed, failed, names


def count(folder, failed_stages):
    passed = failed = 0
    names = []
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        run_passed, run_failed, run_names = count_run(run)
        passed += run_passed
        failed += run_failed
        names += run_names
    # A stage that could not even be built or started has no failed test to its name.
    if len(failed_stages) > len({name.split(":")[0] for name in names}):
        failed += len(failed_stages) - len({name.split(":")[0] for name in names})
    return passed, failed, names


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        run = root / "unit"
        run.mkdir()
        (run / "ctest.junit").write_text(
            '<testsuite><testcase name="unit-a" status="run"/>'
            '<testcase name="unit-b" status="fail"><failure/></testcase>'
            '<testcase name="unit-c" status="fail"><failure/></testcase>'
            '<testcase name="script" status="run"/>'
            '<testcase name="gone" status="notrun"><skipped/></testcase>'
            '<testcase name="skips" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
            "</testcase></testsuite>"
        )
        (run / "unit-a.xml").write_text(
            '<testsuites><testsuite><testcase status="run" result="completed"/>'
            '<testcase status="run" result="completed"/></testsuite></testsuites>'
        )
        (run / "unit-b.xml").write_text(
            '<testsuites><testsuite><testcase status="run" result="completed"/>'
            '<testcase status="run" result="completed"><failure/></testcase>'
            "</testsuite></testsuites>"
        )
        # Every case passed and the process failed: a leak, say.
        (run / "unit-c.xml").write_text(
            '<testsuites><testsuite><testcase status="run" result="completed"/>'
            "</testsuite></testsuites>"
        )
        assert count(root, ["unit tests"])[:2] == (5, 3), count(root, ["unit tests"])
        assert count(root, ["build", "unit tests"])[:2] == (5, 4)
        (run / "ctest.junit").unlink()
        assert count(root, ["unit tests"])[:2] == (0, 1)
        assert count(root, [])[:2] == (0, 0)
    print("count_results.py: self-test passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    failed_stages = sys.argv[2:]
    passed, failed, names = count(pathlib.Path(sys.argv[1]), failed_stages)
    if names or failed_stages:
        print("\nfailed:")
        for name in [f"stage {stage}" for stage in failed_stages] + names:
            print(f"  {name}")
    print(f"\n{passed} passed, {failed} failed")
    return 0 if failed == 0 and not failed_stages and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
