#include "mikey/crypto_session_bundle.h"

#include "mikey/bundle_state.h"

namespace keystub::mikey {

CsbRole CryptoSessionBundle::role() const noexcept { return state_->role; }

std::uint32_t CryptoSessionBundle::csb_id() const noexcept { return state_->csb_id; }

const Identity& CryptoSessionBundle::peer() const noexcept { return state_->peer(); }

const std::vector<CryptoSession>& CryptoSessionBundle::crypto_sessions() const noexcept {
  return state_->contents.sessions;
}

Result<std::vector<EstablishedSession>> CryptoSessionBundle::sessions() const {
  return state_->derive(state_->contents, state_->contents.sessions, "crypto session bundle");
}

Result<ReceivedError> CryptoSessionBundle::read_error(Bytes error) {
  const Message message = TRY(Message::parse(error));
  const MessageKeys keys = TRY(state_->message_keys(suite_of(state_->prf), Protects::integrity));
  ReceivedError received = TRY(mikey::read_error(message, state_->prf, state_->csb_id, keys.auth));
  if (received.authenticated) {
    // Whoever sends an old one again must not end what goes on now.
    TRY(state_->timestamps.admit_theirs(
        *message.t, Place{message.name(), "T", "RFC 6043 5.4", message.bytes.size()}));
  }
  return received;
}

Result<ByteVector> CryptoSessionBundle::refuse(const Environment& env, const Refusal& refusal) {
  const MessageKeys keys = TRY(state_->message_keys(suite_of(state_->prf), Protects::integrity));
  Header about;
  about.prf = state_->prf;
  about.csb_id = state_->csb_id;
  return build_error(TRY(state_->timestamps.next_ours(env)), about, refusal, keys.auth);
}

}  // namespace keystub::mikey
