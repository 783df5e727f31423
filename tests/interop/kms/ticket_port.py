"""The KMS's ports through python3-grpcio: stubs made from proto/ when the test runs."""

import importlib
import pathlib
import subprocess
import sys

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVICE = "/keystub.v1.TicketService/"
TIMEOUT = 15


class Stubs:
    """The generated modules, in a folder of the test."""

    def __init__(self, folder):
        proto = ROOT / "proto"
        files = [proto / "keystub/v1/ticket_service.proto", proto / "keystub/v1/options.proto",
                 proto / "keystub/v1/identity_admin.proto", proto / "keystub/v1/policy.proto",
                 proto / "keystub/v1/revocation.proto", proto / "google/rpc/status.proto"]
        # Not grpc_tools.protoc: Debian's is older than optional fields.
        subprocess.run(["protoc", f"-I{proto}", "-I/usr/include",
                        f"--python_out={folder}", *map(str, files)], check=True)
        sys.path.insert(0, str(folder))
        # google is a package already: ours adds google.rpc to it.
        google = importlib.import_module("google")
        google.__path__.append(str(folder / "google"))
        self.ticket = importlib.import_module("keystub.v1.ticket_service_pb2")
        self.admin = importlib.import_module("keystub.v1.identity_admin_pb2")
        self.revocation = importlib.import_module("keystub.v1.revocation_pb2")
        self.status = importlib.import_module("google.rpc.status_pb2")


class TicketPort:
    def __init__(self, stubs, address, ca_file, certificate=None):
        """`certificate`: PEM file of our own; its key lies beside it."""
        self.stubs = stubs
        own = certificate and pathlib.Path(certificate)
        credentials = grpc.ssl_channel_credentials(
            pathlib.Path(ca_file).read_bytes(),
            own and own.with_suffix(".key").read_bytes(), own and own.read_bytes())
        self.channel = grpc.secure_channel(address, credentials)

    def close(self):
        self.channel.close()

    def request(self, mikey):
        """REQUEST_INIT in, REQUEST_RESP out; grpc.RpcError when refused."""
        ticket = self.stubs.ticket
        call = self.channel.unary_unary(
            SERVICE + "RequestTicket",
            request_serializer=ticket.RequestTicketRequest.SerializeToString,
            response_deserializer=ticket.RequestTicketResponse.FromString)
        return call(ticket.RequestTicketRequest(mikey=mikey), timeout=TIMEOUT).mikey

    def exchange(self, requests):
        """The stream: an iterator of ExchangeRequests in, of ExchangeResponses out."""
        ticket = self.stubs.ticket
        call = self.channel.stream_stream(
            SERVICE + "Exchange",
            request_serializer=ticket.ExchangeRequest.SerializeToString,
            response_deserializer=ticket.ExchangeResponse.FromString)
        return call(requests, timeout=TIMEOUT)

    def watch_revocations(self, after=None, timeout=TIMEOUT):
        """An iterator of WatchRevocationsResponses, with cancel()."""
        revocation = self.stubs.revocation
        call = self.channel.unary_stream(
            "/keystub.v1.RevocationFeed/WatchRevocations",
            request_serializer=revocation.WatchRevocationsRequest.SerializeToString,
            response_deserializer=revocation.WatchRevocationsResponse.FromString)
        return call(revocation.WatchRevocationsRequest(after_sequence=after), timeout=timeout)

    def refusal_of(self, error):
        """The Refusal in the details of a status."""
        details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
        status = self.stubs.status.Status.FromString(details)
        refusal = self.stubs.ticket.Refusal()
        if len(status.details) != 1 or not status.details[0].Unpack(refusal):
            raise AssertionError(f"the status does not hold one Refusal: {status}")
        return refusal


class AdminPort:
    """The admin port on its Unix socket: who we are is told by the kernel."""

    def __init__(self, stubs, socket_file):
        self.stubs = stubs
        self.channel = grpc.insecure_channel(f"unix:{socket_file}")

    def close(self):
        self.channel.close()

    def call(self, method, **fields):
        """One call of IdentityAdmin: its response; grpc.RpcError when refused."""
        request = getattr(self.stubs.admin, f"{method}Request")
        response = getattr(self.stubs.admin, f"{method}Response")
        call = self.channel.unary_unary(f"/keystub.v1.IdentityAdmin/{method}",
                                        request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)
        return call(request(**fields), timeout=TIMEOUT)

    def create_user(self, uri, psk, psk_id=b""):
        return self.call("CreateIdentity", uri=uri, kind=self.stubs.admin.IDENTITY_KIND_USER,
                         psk_id=psk_id, psk=psk).identity

    def identities(self):
        """Every identity, page by page: {uri: Identity}."""
        found, token = {}, ""
        while True:
            page = self.call("ListIdentities", page_size=1000, page_token=token)
            found.update((identity.uri, identity) for identity in page.identities)
            token = page.next_page_token
            if not token:
                return found
