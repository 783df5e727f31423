"""Captures without a network, and tshark reading them.

text2pcap makes the captures. tshark never captures, never resolves names and knows only a folder of
its own as home, so that what is installed for the user who runs the tests plays no part.
"""

import base64
import pathlib
import subprocess
import tempfile
import xml.etree.ElementTree as ET

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "deploy/wireshark/mikey_ticket.lua"

# text2pcap's arguments: what is around each packet.
SIP_UDP = ("-u", "5060,5060")
SIP_TCP = ("-T", "5060,5060")
BARE = ("-l", "147")  # DLT_USER0: nothing


def key_mgmt(message):
    return "a=key-mgmt:mikey " + base64.b64encode(message).decode()


def sdp(session=(), media=()):
    """A body with these lines at session level and, for each list in `media`, below an m= line."""
    lines = ["v=0", "o=alice 2890844526 2890844526 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1",
             "t=0 0", *session]
    for port, attributes in enumerate(media, 7394):
        lines += [f"m=message {port} TCP/TLS/MSRP *", "a=setup:actpass", *attributes,
                  f"a=path:msrps://192.0.2.1:{port}/s;tcp"]
    return "\r\n".join(lines) + "\r\n"


def sip(body, call, response=False):
    """An INVITE, or the 200 that answers it, of call number `call`."""
    start = "SIP/2.0 200 OK" if response else "INVITE sip:bob@example.com SIP/2.0"
    return (f"{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call}\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
            f"To: <sip:bob@example.com>{';tag=b' if response else ''}\r\n"
            f"Call-ID: {call}@example.com\r\nCSeq: 1 INVITE\r\n"
            "Contact: <sip:alice@192.0.2.1>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def hex_dump(packet):
    """One packet as text2pcap reads it."""
    rows = (f"{at:06x} {packet[at:at + 16].hex(' ')}\n" for at in range(0, len(packet), 16))
    return "".join(rows) + f"{len(packet):06x}\n"


class Tshark:
    """A temporary home with captures in it, and tshark in it."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self._folder.name)
        # Readable for whoever else tshark is run as.
        self.home.chmod(0o755)
        self.script = self.home / SCRIPT.name
        self.script.write_bytes(SCRIPT.read_bytes())
        self._captures = 0

    def close(self):
        self._folder.cleanup()

    def environment(self):
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.home),
                "WIRESHARK_CONFIG_DIR": str(self.home / "config")}

    def capture(self, packets, around=BARE):
        self._captures += 1
        dump = self.home / f"{self._captures}.txt"
        capture = self.home / f"{self._captures}.pcap"
        dump.write_text("".join(map(hex_dump, packets)))
        subprocess.run(["text2pcap", "-q", *around, dump, capture], check=True,
                       env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return capture

    def run(self, *arguments, with_script=True, bare_as="mikey_ticket", **options):
        """What tshark prints. `bare_as`: the dissector of packets with nothing around them."""
        if bare_as:
            arguments += ("-o", f'uat:user_dlts:"User 0 (DLT=147)","{bare_as}","0","","0",""')
        if with_script:
            arguments += ("-X", f"lua_script:{self.script}")
        return self._run("-n", *map(str, arguments), **options)

    def report(self, name):
        """tshark -G NAME: what it knows."""
        return self._run("-G", name)

    def _run(self, *arguments, **options):
        done = subprocess.run(["tshark", *arguments], env=self.environment(), check=False,
                              text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, **options)
        # Run by root it says so first; whatever else it says is a finding.
        complaints = [line for line in done.stderr.splitlines()
                      if not line.startswith("Running as user")]
        if done.returncode != 0 or complaints:
            raise AssertionError(f"tshark {arguments}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def fields(self, capture, names, **options):
        """A dict per packet: for each field name the list of its values, as text."""
        picked = [argument for name in names for argument in ("-e", name)]
        text = self.run("-r", capture, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a",
                        "-E", "aggregator=\x1f", *picked, **options)
        return [{name: value.split("\x1f") if value else []
                 for name, value in zip(names, line.split("\t"))} for line in text.splitlines()]

    def trees(self, capture, protocol, **options):
        """Per packet the list of its trees (PDML) of one protocol."""
        document = ET.fromstring(self.run("-r", capture, "-T", "pdml", **options))
        return [packet.findall(f"proto[@name='{protocol}']") for packet in document.iter("packet")]
