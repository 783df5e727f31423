"""The Mp of a real mrfp-agent through python3-grpcio, and the certificates for it."""

import importlib
import pathlib
import subprocess
import sys
import threading

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVICE = "/keystub.v1.MediaControl/"
TIMEOUT = 15


def load_stubs(folder):
    """media_control_pb2, generated into a folder of the test."""
    proto = ROOT / "proto"
    files = [proto / "keystub/v1/media_control.proto", proto / "keystub/v1/options.proto"]
    # Not grpc_tools.protoc: Debian's is older than optional fields.
    subprocess.run(["protoc", f"-I{proto}", "-I/usr/include",
                    f"--python_out={folder}", *map(str, files)], check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("keystub.v1.media_control_pb2")


class Authority:
    """A throw-away CA made by the openssl command."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "2", "-subj", "/CN=interop CA", "-keyout",
                      folder / "ca.key", "-out", self.ca)

    def issue(self, name, alternative_name):
        """name.pem and name.key; returns both paths."""
        request = self.folder / f"{name}.csr"
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative_name}\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                      self.folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
                      extensions, "-out", certificate)
        return certificate, key

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Watcher:
    """Collects the events of one WatchEvents call on a thread of its own."""

    def __init__(self, call):
        self.call = call
        self.events = []
        self.status = None
        self.changed = threading.Condition()
        # Nothing is missed once the server has answered.
        call.initial_metadata()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for event in self.call:
                with self.changed:
                    self.events.append(event)
                    self.changed.notify_all()
            status = grpc.StatusCode.OK
        except grpc.RpcError as error:
            status = error.code()
        with self.changed:
            self.status = status
            self.changed.notify_all()

    def wait(self, stream, kind, seconds=TIMEOUT):
        """The first event of that kind ("established") of a stream."""
        def find():
            return next((event for event in self.events if event.stream_id == stream.stream_id
                         and event.WhichOneof("event") == kind), None)
        with self.changed:
            if not self.changed.wait_for(find, seconds):
                raise AssertionError(f"no event {kind} in {seconds} s, only: {self.events}")
            return find()

    def wait_end(self, seconds=TIMEOUT):
        with self.changed:
            if not self.changed.wait_for(lambda: self.status is not None, seconds):
                raise AssertionError(f"the watch has not ended in {seconds} s")
            return self.status


class MpPort:
    def __init__(self, pb, address, ca, certificate=None, key=None):
        self.pb = pb
        self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(
            ca.read_bytes(), key.read_bytes() if key else None,
            certificate.read_bytes() if certificate else None))

    def close(self):
        self.channel.close()

    def _call(self, method, request):
        response = getattr(self.pb, method + "Response")
        return self.channel.unary_unary(
            SERVICE + method, request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString)(request, timeout=TIMEOUT)

    def reserve(self, context="", **changes):
        fields = {"context_id": context, "transport": self.pb.TRANSPORT_TCP_TLS_MSRP,
                  "trace_id": "interop-1"}
        return self._call("Reserve", self.pb.ReserveRequest(**(fields | changes)))

    def configure(self, stream, keys, client=False, remote=None, suites=(), path="", **changes):
        request = self.pb.ConfigureRequest(
            context_id=stream.context_id, stream_id=stream.stream_id,
            tcp_role=self.pb.TCP_ROLE_CLIENT if client else self.pb.TCP_ROLE_SERVER,
            tls_role=self.pb.TLS_ROLE_CLIENT if client else self.pb.TLS_ROLE_SERVER,
            keys=[self.key(*key) for key in keys], cipher_suites=suites,
            msrp=self.pb.MsrpParameters(remote_path=path), **changes)
        if remote:
            request.remote.ip, request.remote.port = remote
        return self._call("Configure", request)

    def key(self, identity, psk, dialog="dialog"):
        return self.pb.PskCandidate(identity=identity, psk=psk, dialog_id=dialog)

    def start(self, stream, tcp=True, tls=True):
        return self._call("Start", self.pb.StartRequest(
            context_id=stream.context_id, stream_id=stream.stream_id, tcp=tcp, tls=tls))

    def modify(self, stream, keys):
        return self._call("Modify", self.pb.ModifyRequest(
            context_id=stream.context_id, stream_id=stream.stream_id,
            keys=[self.key(*key) for key in keys]))

    def release(self, stream):
        return self._call("Release", self.pb.ReleaseRequest(
            context_id=stream.context_id, stream_id=stream.stream_id))

    def list(self):
        return self._call("List", self.pb.ListRequest())

    def watch(self, from_sequence=0):
        request = self.pb.WatchEventsRequest(from_sequence=from_sequence)
        return Watcher(self.channel.unary_stream(
            SERVICE + "WatchEvents", request_serializer=type(request).SerializeToString,
            response_deserializer=self.pb.MediaEvent.FromString)(request))
