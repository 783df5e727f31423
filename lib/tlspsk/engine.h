// Engine: one TLS connection keyed by a pre-shared key, without a socket. Bytes from the wire go
// in, bytes for the wire come out; the owner moves them and decides when to read more.
//
// TLS 1.2 (RFC 4279, 5487, 5489) and TLS 1.3 with external PSK, as client and as server. A
// handshake that did not use one of the stream's own keys is an error (MRFP-5, MRFP-6), and so is
// a certificate. All failures come out of error(), as a sentence for the local log; the peer gets
// an alert that is the same for a wrong identity and for a wrong key.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "tlspsk/key_ring.h"
#include "tlspsk/profile.h"

struct ssl_st;
struct ssl_session_st;

namespace keystub::tlspsk {

enum class Role : std::uint8_t { client, server };

enum class State : std::uint8_t {
  handshaking,      // needs bytes from the peer, or start()
  waiting_for_key,  // a ClientHello is here and the key ring is empty: keys_changed() goes on
  established,
  closing,  // we sent close_notify; the peer's is awaited
  closed,   // the peer sent close_notify: the TLS session is released
  failed,   // see error()
};
std::string_view state_name(State state) noexcept;

struct SessionInfo {
  std::string tls_version;   // "TLSv1.2", "TLSv1.3"
  std::string cipher_suite;  // OpenSSL's name
  std::string psk_identity;
  std::string dialog_id;
  bool extended_master_secret = false;  // RFC 7627; always true for TLS 1.3
};

// Not thread-safe, not movable. `keys` must outlive it and is read, never copied; OpenSSL keeps
// what it derives and wipes that itself.
class Engine {
 public:
  // Internal if OpenSSL has no memory.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Profile> profile, Role role,
                                                const KeyRing& keys);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A client begins here, with the one key of the ring (conflict if there is not exactly one).
  // Nothing to do for a server.
  Result<void> start();

  // Hands over what the wire brought and moves the handshake on. Error: the engine has failed;
  // take_output() may still hold an alert for the peer.
  Result<void> feed(Bytes wire);
  // False while the engine only holds what it gets (waiting_for_key) or wants no more: the owner
  // then stops reading.
  bool wants_input() const noexcept;
  // The wire ended. Error unless the peer had said close_notify before (truncation).
  Result<void> feed_end();
  // The key ring changed: a held ClientHello is answered now. A handshake already under way with
  // a key that is no longer there fails.
  Result<void> keys_changed();

  // Appends everything that has to go to the wire now to `out`.
  void take_output(ByteVector& out);

  // Up to out.size() octets of application data; 0 when there are none now. After 0 look at
  // state(): the peer may have closed.
  Result<std::size_t> read(MutableBytes out);
  // All of `plain`, encrypted into the output. Conflict unless established.
  Result<void> write(Bytes plain);
  // Sends close_notify (once). The rest is up to the peer.
  void close();

  Role role() const noexcept { return role_; }
  State state() const noexcept { return state_; }
  // Set from established on.
  const std::optional<SessionInfo>& session() const noexcept { return session_; }
  // Set when failed.
  const std::optional<Error>& error() const noexcept { return error_; }

 private:
  struct Callbacks;
  friend void install_callbacks(ssl_ctx_st* context);

  Engine(std::shared_ptr<const Profile> profile, Role role, const KeyRing& keys);

  Result<void> handshake();
  Result<void> finish_handshake();
  Result<void> fail_with(Error error);
  Result<void> fail_from_openssl(std::string_view doing);
  ssl_session_st* make_session(Bytes key) const;
  void choose(const Candidate& candidate);

  std::shared_ptr<const Profile> profile_;
  Role role_;
  const KeyRing& keys_;
  ssl_st* ssl_ = nullptr;
  State state_ = State::handshaking;
  std::optional<SessionInfo> session_;
  std::optional<Error> error_;

  // Which candidate the handshake took. An identity, not a pointer: the ring may change.
  std::string used_identity_;
  std::string used_dialog_;
  bool unknown_identity_ = false;  // the peer named one that this stream does not have
  bool close_sent_ = false;
};

}  // namespace keystub::tlspsk
