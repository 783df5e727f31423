"""Starts, watches and ends the real binaries. Only processes that were started here are signalled."""

import json
import os
import pathlib
import signal
import subprocess
import time

BIN = pathlib.Path(os.environ.get("KEYSTUB_BIN", "build/release/bin")).resolve()
START_SECONDS = 20
STOP_SECONDS = 20


class Failure(AssertionError):
    """A process did not do what the test needs; with its output."""


def run(command, *arguments, stdin=None, timeout=30):
    """Runs one of the commands to its end: subprocess.CompletedProcess with text. A Failure with
    what it said when a signal ended it: no test wants that."""
    done = subprocess.run([str(BIN / command), *map(str, arguments)], input=stdin, text=True,
                          capture_output=True, timeout=timeout, check=False)
    if done.returncode < 0:
        raise Failure(f"{command} {' '.join(map(str, arguments))} was ended by signal "
                      f"{-done.returncode}\n{done.stdout}{done.stderr}")
    return done


def run_ok(command, *arguments, **options):
    """As run(), and a Failure unless it exits with 0. Its standard output."""
    done = run(command, *arguments, **options)
    if done.returncode != 0:
        raise Failure(f"{command} {' '.join(map(str, arguments))} exited with {done.returncode}\n"
                      f"{done.stdout}{done.stderr}")
    return done.stdout


class Process:
    """A running binary whose output goes to files of the test."""

    def __init__(self, folder, name, command, *arguments):
        self.name = name
        self.argv = [str(BIN / command), *map(str, arguments)]
        self.out_path = folder / f"{name}.out"
        self.log_path = folder / f"{name}.log"
        with open(self.out_path, "ab") as out, open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=log)

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        return self.out_path.read_text(errors="replace")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait(self, seconds):
        """Its exit code, or a Failure when the time is over."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {seconds} s\n{self.log()}") from None

    def stop(self):
        """SIGTERM; its exit code."""
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
        return self.wait(STOP_SECONDS)

    def kill(self):
        """SIGKILL, as the machine would do."""
        self.popen.kill()
        self.popen.wait()


class Daemon(Process):
    """A daemon that tells its addresses in a ready file."""

    def __init__(self, folder, name, command, *arguments, ready_file):
        self.ready_file = pathlib.Path(ready_file)
        self.ready_file.unlink(missing_ok=True)
        super().__init__(folder, name, command, *arguments)
        self.addresses = self._wait_ready()

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            if not self.running():
                raise Failure(f"{self.name} ended with {self.popen.returncode} before it was ready"
                              f"\n{self.log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise Failure(f"{self.name} was not ready in {START_SECONDS} s\n{self.log()}")
            time.sleep(0.02)
        return dict(line.split("=", 1) for line in self.ready_file.read_text().split())


class UserEndpoint(Process):
    """An ue-agent with events in JSON."""

    def events(self, name=None):
        found = []
        for line in self.log().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if name is None or event.get("message") == name:
                found.append(event)
        return found

    def wait_event(self, name, seconds=20):
        """The first event of that name; a Failure when it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.events(name)
            if found:
                return found[0]
            if not self.running() and not self.events(name):
                raise Failure(f"{self.name} ended without the event {name!r}\n{self.log()}")
            if time.monotonic() > deadline:
                raise Failure(f"no event {name!r} of {self.name} in {seconds} s\n{self.log()}")
            time.sleep(0.02)

    def messages(self):
        """Texts of the MSRP messages that it received."""
        return [event["text"] for event in self.events("message received")]

    def finish(self, seconds=40):
        """Waits for its end; a Failure unless the session succeeded."""
        code = self.wait(seconds)
        if code != 0:
            raise Failure(f"{self.name} ended with {code}\n{self.log()}")
        return self


def wait_for_file(path, seconds=20):
    """A file appears in one step: when it exists, all of it is there."""
    deadline = time.monotonic() + seconds
    while not pathlib.Path(path).exists():
        if time.monotonic() > deadline:
            raise Failure(f"{path} did not appear in {seconds} s")
        time.sleep(0.02)
