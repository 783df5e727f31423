"""The installed product: somebody else's project finds, compiles, links and runs libkeystub-mikey."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["KEYSTUB_BIN"]).parent
SOURCE = pathlib.Path(__file__).resolve().parents[2]
STRANGER = SOURCE / "lib/mikey/examples/project"
PROGRAMS = {"kms-server", "kmsctl", "mikey", "mrfc-agent", "mrfcctl", "mrfp-agent", "ue-agent"}
INTERNAL_HEADERS = {"bundle_state.h", "derivation.h", "exchange_rules.h", "initiator_data.h",
                    "key_wrap.h", "openssl_errors.h", "protection.h", "sender_proof.h",
                    "timestamp_memory.h"}
# What the stranger prints: a ticket was sealed, so libcrypto was found and linked as well.
SPEAKS = re.compile(r"a ticket of \d+ octets with the flags EFGHILNO\n")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          timeout=120, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} exited with {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def cached(name):
    cache = (BUILD / "CMakeCache.txt").read_text()
    return re.search(rf"^{name}:\w+=(.*)$", cache, re.MULTILINE)[1]


def compiler():
    return cached("CMAKE_CXX_COMPILER")


class Installed(unittest.TestCase):
    """Each test works on a copy of what was installed once: the prefix may be moved."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-install-")
        cls.addClassCleanup(folder.cleanup)
        cls.installed = pathlib.Path(folder.name) / "installed"
        run("cmake", "--install", BUILD, "--prefix", cls.installed, "--component", "mikey")

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-stranger-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.prefix = self.folder / "elsewhere"
        shutil.copytree(self.installed, self.prefix)

    def configure(self, source, *arguments):
        return run("cmake", "-S", source, "-B", self.folder / "build",
                   f"-DCMAKE_CXX_COMPILER={compiler()}", *arguments)

    def pkg_config(self, *arguments):
        paths = [path.parent for path in self.prefix.rglob("keystub-mikey.pc")]
        return run("pkg-config", *arguments, "keystub-mikey",
                   env={**os.environ, "PKG_CONFIG_PATH": str(paths[0])}).split()

    def test_stranger_finds_the_cmake_package(self):
        self.configure(STRANGER, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", self.folder / "build")
        self.assertRegex(run(self.folder / "build/my-tickets"), SPEAKS)

    def test_stranger_builds_with_pkg_config(self):
        run(compiler(), "-std=c++23", *self.pkg_config("--cflags"), STRANGER / "main.cc",
            "-o", self.folder / "stranger", *self.pkg_config("--libs"))
        self.assertRegex(run(self.folder / "stranger"), SPEAKS)

    def test_package_of_another_version_is_refused(self):
        """Before 1.0 a minor version may change the interface."""
        major, minor, _ = map(int, cached("CMAKE_PROJECT_VERSION").split("."))

        def ask_for(version):
            project = self.folder / version
            project.mkdir()
            (project / "CMakeLists.txt").write_text(
                "cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES NONE)\n"
                f"find_package(keystub-mikey {version} REQUIRED)\n")
            run("cmake", "-S", project, "-B", project / "build",
                f"-DCMAKE_PREFIX_PATH={self.prefix}")

        ask_for(f"{major}.{minor}")
        for version in (f"{major}.{minor + 1}", f"{major + 1}.0"):
            with self.subTest(version=version):
                with self.assertRaisesRegex(AssertionError, "compatible with requested"):
                    ask_for(version)

    def test_every_public_header_compiles_and_no_internal_one_is_there(self):
        root = self.prefix / "include/keystub"
        headers = sorted(path.relative_to(root) for path in root.rglob("*.h"))
        self.assertIn(pathlib.Path("mikey/transfer_exchange.h"), headers)
        self.assertEqual(INTERNAL_HEADERS & {path.name for path in headers}, set())
        # Warnings that a careful stranger may have on; the headers are not system headers here.
        including = "".join(f'#include "{path}"\n' for path in headers)
        run(compiler(), "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
            "-Wconversion", "-Werror", f"-I{root}", "-x", "c++", "-", input=including)

    def test_headers_define_no_macro_without_our_prefix(self):
        """A macro knows no namespace: KEYSTUB_TRY is ours, TRY is not."""
        root = self.prefix / "include/keystub"
        for path in root.rglob("*.h"):
            text = path.read_text()
            unconditional = re.sub(r"#ifdef KEYSTUB_SHORT_TRY\n.*?#endif\n", "", text, flags=re.S)
            for name in re.findall(r"^\s*#\s*define\s+(\w+)", unconditional, re.MULTILINE):
                self.assertTrue(name.startswith("KEYSTUB_"), f"{path.name} defines {name}")
            code = re.sub(r"//.*", "", unconditional)
            self.assertNotRegex(code, r"(?<!\w)TRY\(", path.name)

    def test_nothing_but_the_product_is_installed(self):
        """The library, its headers, and the two descriptions of it."""
        expected = re.compile(
            r"lib(/[\w-]+)?/libkeystub-mikey\.a|include/keystub/(base|mikey|mikey/payload|mikey/public_key)/\w+\.h|"
            r"lib(/[\w-]+)?/cmake/keystub-mikey/keystub-mikey-[\w-]+\.cmake|"
            r"lib(/[\w-]+)?/pkgconfig/keystub-mikey\.pc")
        files = [path.relative_to(self.prefix).as_posix() for path in self.prefix.rglob("*")
                 if path.is_file()]
        self.assertEqual([path for path in files if not expected.fullmatch(path)], [])

    def test_library_configures_alone_with_nothing_but_openssl(self):
        """A stranger who wants the library needs no gRPC, SQLite or GoogleTest."""
        others = ("CLI11", "GTest", "Protobuf", "SQLite3", "fmt", "gRPC", "nlohmann_json",
                  "prometheus-cpp", "spdlog", "tomlplusplus")
        self.configure(SOURCE, "-DKEYSTUB_ONLY_MIKEY=ON",
                       *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in others))
        targets = run("cmake", "--build", self.folder / "build", "--target", "help")
        self.assertIn("keystub-mikey-package", targets)


class Programs(unittest.TestCase):
    def test_programs_run_where_they_are_installed(self):
        with tempfile.TemporaryDirectory(prefix="keystub-install-") as prefix:
            run("cmake", "--install", BUILD, "--prefix", prefix, "--component", "programs")
            installed = {path.name for path in pathlib.Path(prefix, "bin").iterdir()}
            self.assertEqual(installed, PROGRAMS)
            version = cached("CMAKE_PROJECT_VERSION")
            for name in sorted(PROGRAMS):
                with self.subTest(program=name):
                    self.assertIn(version, run(pathlib.Path(prefix, "bin", name), "--version"))
            self.assertIn(".TH MIKEY", pathlib.Path(prefix, "share/man/man1/mikey.1").read_text())
