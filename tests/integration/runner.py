"""Runs the unittest cases of one file as one ctest test.

runner.py NAME FILE: beside unittest's own report it writes a GoogleTest-like NAME.xml into the
folder that GTEST_OUTPUT names ("xml:FOLDER/"), so that ./run test counts the cases one by one.
"""

import importlib.util
import os
import pathlib
import sys
import unittest
import xml.etree.ElementTree as ET


class RecordingResult(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.records = {}

    def startTest(self, test):
        super().startTest(test)
        self.records.setdefault(test.id(), "")

    def _failed(self, test, text):
        self.records[test.id()] = text

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._failed(test, self._exc_info_to_string(err, test))


def write_xml(records, name):
    output = os.environ.get("GTEST_OUTPUT", "")
    if not output.startswith("xml:"):
        return
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=name)
    for test_id, failure in records.items():
        case = ET.SubElement(suite, "testcase", name=test_id, status="run", result="completed")
        if failure:
            ET.SubElement(case, "failure", message=failure.splitlines()[-1])
    ET.ElementTree(suites).write(pathlib.Path(output[4:]) / f"{name}.xml")


def main():
    name, file = sys.argv[1], pathlib.Path(sys.argv[2])
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(file.parent))
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=RecordingResult).run(suite)
    write_xml(result.records, name)
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
