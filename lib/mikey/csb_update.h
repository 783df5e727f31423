// CSB updating (RFC 6043 5.2): either side of a completed Ticket Transfer changes what the two
// share, with another TRANSFER_INIT and TRANSFER_RESP under the CSB ID of the first ones: new
// session keys, new crypto sessions, other policies. Who starts an update is not who played the
// initiator in the Ticket Transfer; that part stays (CsbRole).
//
//   one side    SentUpdate::start(bundle) -> message()  ...  accept(TRANSFER_RESP), or complete()
//                 where no answer was asked for
//   the other   ReceivedUpdate::parse -> (bundle by csb_id()) -> verify(bundle) -> VerifiedUpdate
//                 -> respond() -> octets and keys
//
// A crypto session that an update does not name goes on as it is; nothing takes one away. A bundle
// changes in one step, when accept(), complete() or respond() succeeds.
//
// One update at a time: where both sides start one, that of the initiator (CsbRole) goes first.
// Where an answer is lost the two sides differ, until a new update says the same again: crypto
// sessions may be named and keys be sent a second time.
#pragma once

#include "mikey/crypto_session_bundle.h"

namespace keystub::mikey {

struct UpdateParameters {
  // Crypto sessions to change (those of the bundle with this CS ID) or to add. Each points with its
  // SPI to a key of the bundle or of `keys`; whoever answers may have to choose where the SPI is
  // empty.
  std::vector<CryptoSession> sessions;
  std::vector<SecurityPolicy> policies = {};
  // New session keys; need flag L (initiator) or M (responder). They are not forked.
  std::vector<SessionKey> keys = {};
  // Without a response all of `sessions` must be settled: one policy (TLS: at most one), an SPI,
  // Session Data for SRTP.
  bool with_response = true;
  // What the answer may add of its own.
  AcceptedAdditions accepted = {};
};

// Our side of an update that we start. Dropping it gives the update up.
class SentUpdate {
 public:
  // Builds TRANSFER_INIT (draws nothing). conflict while an update of ours has no answer yet.
  static Result<SentUpdate> start(const Environment& env, const CryptoSessionBundle& bundle,
                                  UpdateParameters parameters);

  SentUpdate(SentUpdate&&) noexcept = default;
  SentUpdate& operator=(SentUpdate&&) = delete;
  ~SentUpdate();

  // TRANSFER_INIT.
  Bytes message() const noexcept { return message_; }

  // Verifies TRANSFER_RESP and changes the bundle. The crypto sessions that it names, with their
  // keys. A MIKEY Error message instead becomes a failure that names its number and says whether
  // it was authenticated. After a failure another answer may still come. conflict where an update
  // of the initiator's went first.
  Result<std::vector<EstablishedSession>> accept(Bytes transfer_resp,
                                                 ErrorsTaken errors = ErrorsTaken::all);
  // Changes the bundle where no response was asked for (conflict otherwise).
  Result<std::vector<EstablishedSession>> complete();

 private:
  SentUpdate(const CryptoSessionBundle& bundle, UpdateParameters parameters)
      : bundle_(bundle), parameters_(std::move(parameters)) {}

  Result<void> build(const Environment& env);
  Result<void> check_under_way() const;

  CryptoSessionBundle bundle_;
  UpdateParameters parameters_;
  ByteVector message_;
  std::uint64_t number_ = 0;
};

struct UpdateResponse {
  // Each settled. Empty: those of TRANSFER_INIT, with the first of several policies; where the SPI
  // is empty, with the first new key or, without one, the key that the session has.
  std::vector<CryptoSession> sessions = {};
  std::vector<SecurityPolicy> policies = {};
  // New session keys of our own; need flag L (initiator) or M (responder).
  std::vector<SessionKey> keys = {};
};

struct UpdateAnswer {
  ByteVector message;  // TRANSFER_RESP; empty where none is expected
  // The crypto sessions that the update named, with their keys.
  std::vector<EstablishedSession> sessions;
};

// Their update, genuine. The octets must outlive it.
class VerifiedUpdate {
 public:
  const Message& message() const noexcept { return message_; }
  bool wants_response() const noexcept { return message_.header.v_flag; }
  // What the other side proposes.
  const std::vector<CryptoSession>& sessions() const noexcept { return sessions_; }
  const std::vector<SecurityPolicy>& policies() const noexcept { return policies_; }

  // Builds TRANSFER_RESP and changes the bundle; once (conflict after that). Where no response is
  // expected all is as TRANSFER_INIT says, and a `response` that would change it is refused.
  Result<UpdateAnswer> respond(const Environment& env, const UpdateResponse& response = {});
  // An authenticated Error message about the update, instead. The bundle stays as it is.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal);

 private:
  friend class ReceivedUpdate;
  VerifiedUpdate(Message message, const CryptoSessionBundle& bundle)
      : message_(std::move(message)), bundle_(bundle) {}

  std::vector<CryptoSession> settle_sessions(const BundleState& state,
                                             const UpdateResponse& response) const;

  Message message_;
  CryptoSessionBundle bundle_;
  std::vector<CryptoSession> sessions_;
  std::vector<SecurityPolicy> policies_;
  std::vector<SessionKey> keys_;
  bool answered_ = false;
};

// Their update, parsed; everything in it is a claim. The octets must outlive it.
class ReceivedUpdate {
 public:
  // A TRANSFER_INIT whose CSB ID is that of a bundle is an update of it.
  static Result<ReceivedUpdate> parse(Bytes transfer_init);

  std::uint32_t csb_id() const noexcept { return message_.header.csb_id; }

  // Verifies the MAC, that T is new, that RANDs, ticket and identities, where they are there, are
  // those of the bundle, and that the update holds nothing but what is `accepted`. conflict while
  // an update of ours has no answer yet and ours goes first: the other side tries again later.
  Result<VerifiedUpdate> verify(const CryptoSessionBundle& bundle,
                                const AcceptedAdditions& accepted) const;

 private:
  explicit ReceivedUpdate(Message message) : message_(std::move(message)) {}

  Message message_;
};

}  // namespace keystub::mikey
