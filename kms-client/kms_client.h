// Client of a KMS: request tickets, resolve tickets (RFC 6043 4.2.1, 4.2.3). In ten lines:
//
//   SystemClock clock;
//   OpenSslRandom random;
//   auto connection = TRY(KmsConnection::open({.server = "kms.example.com:7443",
//                                              .ca = "/etc/keystub/ca.pem"}));
//   KmsClient alice(connection, {.self = Identity::uri("sip:alice@example.com"),
//                                .kms = Identity::uri("sip:kms@example.com"),
//                                .psk_id = {}, .psk = std::move(psk)}, clock, random);
//   GrantedTicket ticket = TRY(alice.request_ticket(
//       TRY(alice.ticket_wish({"sip:bob@example.com"}, std::chrono::hours{1}))));
//
// A call that meets an unavailable KMS is tried again, with backoff, until its time is over; each
// attempt is a newly built message (CSB ID, T and RAND are new: the same octets would be a replay).
// Links base, mikey, proto and rpc only. No gRPC type is visible.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "rpc/retry.h"

namespace grpc {
class Channel;
}

namespace keystub::kms_client {

struct ConnectionOptions {
  // "ip:port" or "name:port" of the KMS's ticket port.
  std::string server;
  // PEM. The CA of the KMS is required; a certificate of our own is presented if given.
  std::filesystem::path ca = {};
  std::filesystem::path certificate = {};
  std::filesystem::path private_key = {};
  // The name that the KMS's certificate must bear; empty: the host part of `server`.
  std::string server_name = {};
  // Instead of all of this: the admin port of a KMS on this machine, for its revocations.
  std::filesystem::path unix_socket = {};
  // No TLS at all. MIKEY protects the keys even so; who talks to whom is then visible.
  bool allow_plaintext = false;
};

// The way to one KMS: connects on first use, reconnects by itself. Make one per KMS and share it
// among all KmsClients. Thread-safe.
class KmsConnection {
 public:
  // Reads the files; does not wait for the KMS. not_found, malformed.
  static Result<std::shared_ptr<KmsConnection>> open(const ConnectionOptions& options);
  KmsConnection(const KmsConnection&) = delete;
  KmsConnection& operator=(const KmsConnection&) = delete;
  ~KmsConnection();

 private:
  friend class KmsClient;
  friend class RevocationWatch;
  struct Impl;
  explicit KmsConnection(std::unique_ptr<Impl> impl);
  std::shared_ptr<grpc::Channel> channel() const;
  std::unique_ptr<Impl> impl_;
};

struct CallOptions {
  // For all attempts together.
  std::chrono::milliseconds timeout{5'000};
  // Travels with the call into the KMS's log and audit; empty: none.
  std::string trace_id = {};
  rpc::RetryPolicy retry = {};
};

// A call that was started without waiting. Copies share it; dropping it does not stop the call.
class PendingCall {
 public:
  PendingCall() = default;
  // The call ends soon with unavailable, unless it ended before. Thread-safe.
  void cancel();

 private:
  friend class KmsClient;
  struct State;
  explicit PendingCall(std::weak_ptr<State> state) : state_(std::move(state)) {}
  std::weak_ptr<State> state_;
};

// One identity at a KMS. Thread-safe. Errors: unavailable (not reached in time, or cancelled);
// unauthenticated, denied, expired, busy, malformed as the KMS refused, with its reason and, where
// the clocks disagree, by how much; unauthenticated also when the KMS's answer does not verify.
class KmsClient {
 public:
  using TicketDone = std::function<void(Result<mikey::GrantedTicket>)>;
  using ResolveDone = std::function<void(Result<mikey::ResolvedTicket>)>;

  // Proves itself with a pre-shared key, or with a certificate (the public-key variants). `clock`
  // and `random` must outlive the client and its calls.
  KmsClient(std::shared_ptr<KmsConnection> connection, mikey::KmsCredentials credentials,
            const Clock& clock, RandomSource& random);
  KmsClient(std::shared_ptr<KmsConnection> connection, mikey::PkCredentials credentials,
            const Clock& clock, RandomSource& random);
  KmsClient(const KmsClient&) = delete;
  KmsClient& operator=(const KmsClient&) = delete;
  // Cancels what still runs and waits until its callbacks have returned.
  ~KmsClient();

  // A wish as the profile has it: mode 1, key forking, not reusable, one TGK of 32 octets with a
  // random SPI, for these responders (URIs; mikey::kAnyResponder: anybody), valid from now on.
  Result<mikey::TicketPolicy> ticket_wish(const std::vector<std::string>& responders,
                                          std::chrono::seconds validity) const;

  // Block until there is an answer.
  Result<mikey::GrantedTicket> request_ticket(mikey::TicketPolicy wish,
                                              const CallOptions& options = {});
  Result<mikey::ResolvedTicket> resolve_ticket(const mikey::TicketView& ticket,
                                               const CallOptions& options = {});

  // Return at once. `done` is called exactly once, from a thread of gRPC (or from this one when the
  // message cannot be built); it must not block and must not destroy the client. The ticket is
  // copied.
  PendingCall start_request(mikey::TicketPolicy wish, const CallOptions& options, TicketDone done);
  PendingCall start_resolve(const mikey::TicketView& ticket, const CallOptions& options,
                            ResolveDone done);

 private:
  using Credentials = std::variant<mikey::KmsCredentials, mikey::PkCredentials>;
  class Operation;
  class RequestOperation;
  class ResolveOperation;
  struct Running;

  KmsClient(std::shared_ptr<KmsConnection> connection, Credentials credentials,
            const mikey::Environment& env);
  PendingCall launch(const std::shared_ptr<Operation>& operation);

  const std::shared_ptr<KmsConnection> connection_;
  const Credentials credentials_;
  const mikey::Environment env_;
  const std::shared_ptr<Running> running_;
};

}  // namespace keystub::kms_client
