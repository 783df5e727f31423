#include "tlspsk/engine.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/byte_reader.h"
#include "tlspsk/engine_callbacks.h"
#include "tlspsk/openssl_error.h"

namespace keystub::tlspsk {

namespace {

Engine* engine_of(SSL* ssl) { return static_cast<Engine*>(SSL_get_app_data(ssl)); }

// The decoy answers an unknown identity (RFC 4279 2, last paragraphs): the handshake then fails
// exactly as it does with a wrong key.
constexpr std::size_t kDecoyOctets = 32;
struct DecoyTag;

// A certificate never proves anything here.
int refuse_certificate(X509_STORE_CTX*, void*) { return 0; }

// The identities of a pre_shared_key extension (RFC 8446 4.2.11), in order. A malformed one ends
// the walk: OpenSSL refuses it later.
template <class Visit>
Result<void> for_each_identity(Bytes extension, Visit visit) {
  ByteReader reader("ClientHello", extension);
  reader.enter("pre_shared_key", "RFC 8446 4.2.11");
  const std::uint16_t octets = reader.u16("length of the identities");
  ByteReader identities = reader.sub_reader(octets, "identities");
  TRY(reader.check());
  while (!identities.at_end()) {
    const std::uint16_t length = identities.u16("length of an identity");
    const Bytes identity = identities.bytes(length, "identity");
    TRY(identities.check());
    visit(identity);
    identities.u32("ticket age");
  }
  return identities.check();
}

}  // namespace

std::string_view state_name(State state) noexcept {
  switch (state) {
    case State::handshaking: return "handshaking";
    case State::waiting_for_key: return "waiting for a key";
    case State::established: return "established";
    case State::closing: return "closing";
    case State::closed: return "closed";
    case State::failed: return "failed";
  }
  return "unknown";
}

struct Engine::Callbacks {
  // Holds a ClientHello back until the stream has a key, and notes whether it names a known
  // identity at all: with several offered, the unknown ones are then skipped, not decoyed.
  static int client_hello(SSL* ssl, int*, void*) {
    Engine& engine = *engine_of(ssl);
    if (engine.keys_.empty()) return SSL_CLIENT_HELLO_RETRY;
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &data, &size) == 1) {
      bool known = false;
      (void)for_each_identity({data, size}, [&](Bytes identity) {
        known = engine.keys_.find(identity) != nullptr || known;
      });
      engine.unknown_identity_ = !known;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
  }

  // TLS 1.3 server.
  static int find_session(SSL* ssl, const unsigned char* identity, std::size_t size,
                          SSL_SESSION** session) {
    Engine& engine = *engine_of(ssl);
    *session = nullptr;
    if (engine.unknown_identity_) {
      auto decoy = engine.profile_->random_.secret<DecoyTag>(kDecoyOctets);
      if (!decoy) return 0;
      *session = engine.make_session(decoy->reveal());
      return *session != nullptr;
    }
    const Candidate* candidate = engine.keys_.find({identity, size});
    if (candidate == nullptr) return 1;
    engine.choose(*candidate);
    *session = engine.make_session(candidate->psk.reveal());
    return *session != nullptr;
  }

  // TLS 1.2 server. TLS 1.3 asks here too when find_session had nothing; it gets nothing.
  static unsigned int server_key(SSL* ssl, const char* identity, unsigned char* key,
                                 unsigned int max_size) {
    Engine& engine = *engine_of(ssl);
    if (identity == nullptr || SSL_version(ssl) == TLS1_3_VERSION) return 0;
    const Candidate* candidate = engine.keys_.find(as_bytes(identity));
    engine.unknown_identity_ = candidate == nullptr;
    if (candidate != nullptr) {
      engine.choose(*candidate);
      return copy_key(candidate->psk.reveal(), key, max_size);
    }
    auto decoy = engine.profile_->random_.secret<DecoyTag>(kDecoyOctets);
    return decoy ? copy_key(decoy->reveal(), key, max_size) : 0;
  }

  // TLS 1.3 client. `digest` is set after a HelloRetryRequest, to that of the server's suite.
  static int use_session(SSL* ssl, const EVP_MD* digest, const unsigned char** identity,
                         std::size_t* size, SSL_SESSION** session) {
    Engine& engine = *engine_of(ssl);
    *session = nullptr;
    *identity = nullptr;
    *size = 0;
    const Candidate* candidate = engine.keys_.only();
    if (candidate == nullptr) return 0;
    if (digest != nullptr && EVP_MD_get_type(digest) != NID_sha256) return 1;
    engine.choose(*candidate);
    *session = engine.make_session(candidate->psk.reveal());
    *identity = as_bytes(engine.used_identity_).data();
    *size = engine.used_identity_.size();
    return *session != nullptr;
  }

  // TLS 1.2 client. The hint is ignored (RFC 4279 5.2: SHOULD, without an application profile).
  static unsigned int client_key(SSL* ssl, const char*, char* identity, unsigned int max_identity,
                                 unsigned char* key, unsigned int max_size) {
    Engine& engine = *engine_of(ssl);
    const Candidate* candidate = engine.keys_.only();
    if (candidate == nullptr || candidate->identity.size() >= max_identity) return 0;
    engine.choose(*candidate);
    std::memcpy(identity, candidate->identity.c_str(), candidate->identity.size() + 1);
    return copy_key(candidate->psk.reveal(), key, max_size);
  }

  static unsigned int copy_key(Bytes key, unsigned char* out, unsigned int max_size) {
    if (key.size() > max_size) return 0;
    std::ranges::copy(key, out);
    return static_cast<unsigned int>(key.size());
  }

  static void install(SSL_CTX* context) {
    SSL_CTX_set_client_hello_cb(context, client_hello, nullptr);
    SSL_CTX_set_psk_find_session_callback(context, find_session);
    SSL_CTX_set_psk_server_callback(context, server_key);
    SSL_CTX_set_psk_use_session_callback(context, use_session);
    SSL_CTX_set_psk_client_callback(context, client_key);
    SSL_CTX_set_cert_verify_callback(context, refuse_certificate, nullptr);
  }
};

void install_callbacks(ssl_ctx_st* context) { Engine::Callbacks::install(context); }

Engine::Engine(std::shared_ptr<const Profile> profile, Role role, const KeyRing& keys)
    : profile_(std::move(profile)), role_(role), keys_(keys) {}

Engine::~Engine() { SSL_free(ssl_); }

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Profile> profile, Role role,
                                               const KeyRing& keys) {
  std::unique_ptr<Engine> engine(new Engine(std::move(profile), role, keys));
  engine->ssl_ = SSL_new(engine->profile_->context_);
  if (engine->ssl_ == nullptr) return std::unexpected(take_openssl_error("set-up", false));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return std::unexpected(take_openssl_error("set-up", false));
  }
  SSL_set_bio(engine->ssl_, in, out);
  SSL_set_app_data(engine->ssl_, engine.get());
  if (role == Role::client) {
    // Asks OpenSSL to check a certificate, should the server send one: refuse_certificate().
    SSL_set_verify(engine->ssl_, SSL_VERIFY_PEER, nullptr);
    SSL_set_connect_state(engine->ssl_);
  } else {
    SSL_set_accept_state(engine->ssl_);
  }
  return engine;
}

Result<void> Engine::start() {
  if (role_ == Role::server || state_ != State::handshaking) return {};
  if (keys_.only() == nullptr) {
    return fail(Category::conflict, "a TLS client needs exactly one key, this stream has " +
                                        std::to_string(keys_.size()));
  }
  return handshake();
}

Result<void> Engine::feed(Bytes wire) {
  if (state_ == State::failed) return std::unexpected(*error_);
  if (state_ == State::closed || wire.empty()) return {};
  std::size_t written = 0;
  if (BIO_write_ex(SSL_get_rbio(ssl_), wire.data(), wire.size(), &written) != 1 ||
      written != wire.size()) {
    return fail_with(Error(Category::internal, "no memory for what the peer sent"));
  }
  if (state_ == State::handshaking) return handshake();
  return {};
}

bool Engine::wants_input() const noexcept {
  return state_ == State::handshaking || state_ == State::established || state_ == State::closing;
}

Result<void> Engine::feed_end() {
  if (state_ == State::closed) return {};
  if (state_ == State::failed) return std::unexpected(*error_);
  // Who said close_notify first need not wait for the answer (RFC 5246 7.2.1).
  if (state_ == State::closing) {
    state_ = State::closed;
    return {};
  }
  return fail_with(Error(Category::unavailable,
                         state_ == State::established
                             ? "the peer ended TCP without ending TLS first: data may be missing"
                             : "the peer ended TCP during the TLS handshake"));
}

Result<void> Engine::keys_changed() {
  switch (state_) {
    case State::waiting_for_key:
      if (keys_.empty()) return {};
      return handshake();
    case State::handshaking:
    case State::established:
    case State::closing:
      if (used_identity_.empty() || keys_.find(as_bytes(used_identity_)) != nullptr) return {};
      close();
      return fail_with(Error(Category::denied,
                             "the key of this TLS session was withdrawn: "
                             "another dialog was chosen"));
    case State::closed:
    case State::failed: return {};
  }
  return {};
}

void Engine::take_output(ByteVector& out) {
  BIO* wire = SSL_get_wbio(ssl_);
  const std::size_t pending = BIO_ctrl_pending(wire);
  if (pending == 0) return;
  const std::size_t before = out.size();
  out.resize(before + pending);
  std::size_t got = 0;
  BIO_read_ex(wire, out.data() + before, pending, &got);
  out.resize(before + got);
}

Result<std::size_t> Engine::read(MutableBytes out) {
  if (state_ == State::failed) return std::unexpected(*error_);
  if (state_ != State::established && state_ != State::closing) return std::size_t{0};
  ERR_clear_error();
  std::size_t got = 0;
  if (SSL_read_ex(ssl_, out.data(), out.size(), &got) == 1) return got;
  switch (SSL_get_error(ssl_, 0)) {
    case SSL_ERROR_WANT_READ: return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      close();
      state_ = State::closed;
      return std::size_t{0};
    default: TRY(fail_from_openssl("session")); return std::size_t{0};
  }
}

Result<void> Engine::write(Bytes plain) {
  if (state_ != State::established) {
    return fail(Category::conflict,
                "TLS is " + std::string(state_name(state_)) + ": nothing can be sent");
  }
  ERR_clear_error();
  std::size_t written = 0;
  while (!plain.empty()) {
    if (SSL_write_ex(ssl_, plain.data(), plain.size(), &written) != 1) {
      return fail_from_openssl("session");
    }
    plain = plain.subspan(written);
  }
  return {};
}

void Engine::close() {
  if (close_sent_ || (state_ != State::established && state_ != State::closing)) return;
  close_sent_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
  state_ = State::closing;
}

Result<void> Engine::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) return finish_handshake();
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: state_ = State::handshaking; return {};
    case SSL_ERROR_WANT_CLIENT_HELLO_CB: state_ = State::waiting_for_key; return {};
    default: return fail_from_openssl("handshake");
  }
}

Result<void> Engine::finish_handshake() {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_);
  const bool tls13 = SSL_version(ssl_) == TLS1_3_VERSION;
  const int exchange = SSL_CIPHER_get_kx_nid(cipher);
  const bool with_psk = tls13 ? SSL_session_reused(ssl_) == 1
                              : exchange == NID_kx_psk || exchange == NID_kx_ecdhe_psk;
  if (!with_psk || used_identity_.empty() || unknown_identity_) {
    return fail_with(Error(Category::unauthenticated,
                           "the handshake did not use a pre-shared key of this stream"));
  }
  state_ = State::established;
  session_ = SessionInfo{.tls_version = SSL_get_version(ssl_),
                         .cipher_suite = SSL_CIPHER_get_name(cipher),
                         .psk_identity = used_identity_,
                         .dialog_id = used_dialog_,
                         .extended_master_secret = tls13 || SSL_get_extms_support(ssl_) == 1};
  return {};
}

Result<void> Engine::fail_with(Error error) {
  state_ = State::failed;
  error_ = std::move(error);
  return std::unexpected(*error_);
}

Result<void> Engine::fail_from_openssl(std::string_view doing) {
  return fail_with(take_openssl_error(doing, unknown_identity_));
}

// A TLS 1.3 external PSK is a session object that holds the key and a suite of its hash.
ssl_session_st* Engine::make_session(Bytes key) const {
  static constexpr std::array<unsigned char, 2> kAes128GcmSha256 = {0x13, 0x01};
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl_, kAes128GcmSha256.data());
  SSL_SESSION* session = SSL_SESSION_new();
  if (cipher != nullptr && session != nullptr &&
      SSL_SESSION_set1_master_key(session, key.data(), key.size()) == 1 &&
      SSL_SESSION_set_cipher(session, cipher) == 1 &&
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1) {
    return session;
  }
  SSL_SESSION_free(session);
  return nullptr;
}

void Engine::choose(const Candidate& candidate) {
  used_identity_ = candidate.identity;
  used_dialog_ = candidate.dialog_id;
}

}  // namespace keystub::tlspsk
