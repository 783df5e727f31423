// What initiator and responder share after a Ticket Transfer: the crypto session bundle (CSB) with
// its crypto sessions, their keys, and the keys that protect later messages about it (RFC 6043 5.2,
// 5.4). csb_update.h changes it.
#pragma once

#include <memory>

#include "mikey/error_message.h"

namespace keystub::mikey {

// Which part a side plays in the Ticket Transfer that made the bundle. It stays the same in
// updates, whoever starts them.
enum class CsbRole : std::uint8_t { initiator, responder };

// One crypto session and the keys it starts with.
struct EstablishedSession {
  std::uint8_t cs_id = 1;
  ProtType prot_type = ProtType::tls;
  ByteVector spi;
  Tek tek;
  // As carried with the key; for SRTP from a TGK or GTGK without one, derived (112 bits). Else
  // empty.
  SaltKey salt;
  // The security policy that was chosen; none for TLS as TS 33.328 uses it.
  std::optional<SecurityPolicy> policy;
};

// What the other side may add of its own in the Ticket Transfer and in updates, as far as the
// Ticket Policy lets it. Nothing, unless it is said here.
struct AcceptedAdditions {
  bool keys = false;             // session keys, in a KEMAC
  bool crypto_sessions = false;  // beyond those that we offered
  bool policies = false;         // security policies; look at EstablishedSession::policy
};

struct BundleState;

// A handle: copies mean the same bundle. Not thread-safe; different bundles are independent.
class CryptoSessionBundle {
 public:
  // The exchanges make bundles.
  explicit CryptoSessionBundle(std::shared_ptr<BundleState> state) : state_(std::move(state)) {}

  CsbRole role() const noexcept;
  std::uint32_t csb_id() const noexcept;
  // The other side.
  const Identity& peer() const noexcept;
  // Its crypto sessions as they stand now, after the updates so far, and their keys.
  const std::vector<CryptoSession>& crypto_sessions() const noexcept;
  Result<std::vector<EstablishedSession>> sessions() const;

  // Reads an Error message about the last message of the initial exchange or about an update. One
  // with V must have a T that was not used before.
  Result<ReceivedError> read_error(Bytes error);
  // An authenticated Error message about a message of the other side in this bundle.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal);

 private:
  friend class SentUpdate;
  friend class ReceivedUpdate;
  friend class VerifiedUpdate;

  std::shared_ptr<BundleState> state_;
};

// A completed Ticket Transfer, for either side.
struct EstablishedTransfer {
  std::uint32_t csb_id = 0;
  // The other side: IDRr of TRANSFER_RESP for the initiator, IDRi of the Ticket Policy for the
  // responder. Authenticated; but without key forking IDRr is only the claim of somebody who may
  // resolve the ticket (RFC 6043 12.2), and where no answer comes (F = 0) it is whom we meant.
  Identity peer;
  std::vector<EstablishedSession> sessions;
  // MAC of TRANSFER_RESP (of TRANSFER_INIT where no response is sent): tells answers apart.
  ByteVector mac;
  // For updates and Error messages later on; may be dropped.
  CryptoSessionBundle bundle;
};

}  // namespace keystub::mikey
