// The TLS-PSK engine against itself and against a bare OpenSSL peer, in memory (MRFP-3, MRFP-5,
// MRFP-6, MRFP-7, MRFP-9).
#include "tlspsk/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/random.h"
#include "tlspsk/cipher_suites.h"

namespace keystub::tlspsk {
namespace {

using ::testing::HasSubstr;

OpenSslRandom system_random;

Psk key_of(std::uint8_t fill) {
  Psk key(std::size_t{32});
  for (auto& octet : key.reveal_mutable()) octet = fill;
  return key;
}

Candidate candidate(std::string identity, std::uint8_t fill, std::string dialog = "dialog") {
  return {std::move(identity), key_of(fill), std::move(dialog)};
}

void add(std::vector<Candidate>&) {}
template <class... More>
void add(std::vector<Candidate>& list, Candidate first, More... more) {
  list.push_back(std::move(first));
  add(list, std::move(more)...);
}
template <class... Candidates>
void set_keys(KeyRing& ring, Candidates... candidates) {
  std::vector<Candidate> list;
  add(list, std::move(candidates)...);
  ASSERT_TRUE(ring.replace(std::move(list)).has_value());
}

std::shared_ptr<const Profile> profile_of(std::vector<std::string> suites) {
  auto profile = Profile::create(suites, system_random);
  EXPECT_TRUE(profile.has_value()) << profile.error().describe();
  return *profile;
}

const std::vector<std::string> kTls12 = {"PSK-AES128-GCM-SHA256"};
const std::vector<std::string> kTls13 = {"TLS_AES_128_GCM_SHA256"};

std::vector<std::string> all_suites() {
  std::vector<std::string> names;
  for (const CipherSuite& suite : kCipherSuites) names.emplace_back(suite.name);
  return names;
}

// An engine of ours at one end of a wire.
struct End {
  End(Role role, std::vector<std::string> suites) {
    auto made = Engine::create(profile_of(std::move(suites)), role, keys);
    EXPECT_TRUE(made.has_value());
    engine = std::move(*made);
  }
  ByteVector output() {
    ByteVector out;
    engine->take_output(out);
    return out;
  }
  ByteVector read_all() {
    ByteVector out;
    std::array<std::uint8_t, 5000> buffer;
    for (;;) {
      auto got = engine->read(buffer);
      if (!got || *got == 0) return out;
      out.insert(out.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got));
    }
  }
  KeyRing keys;
  std::unique_ptr<Engine> engine;
};

// Carries bytes both ways until nothing moves. Failures show in the engines.
void carry(End& a, End& b) {
  for (;;) {
    const ByteVector from_a = a.output();
    const ByteVector from_b = b.output();
    if (from_a.empty() && from_b.empty()) return;
    (void)b.engine->feed(from_a);
    (void)a.engine->feed(from_b);
  }
}

// The last alert record that a side put on the wire, as its plain or encrypted octets; and its
// description when it is plain.
int plain_alert(const ByteVector& wire) {
  for (std::size_t at = 0; at + 5 <= wire.size();) {
    const std::size_t length = wire[at + 3] * 256u + wire[at + 4];
    if (wire[at] == SSL3_RT_ALERT && length == 2) return wire[at + 6];
    at += 5 + length;
  }
  return -1;
}

// What a server with these keys puts on the wire for a client with those, alert included.
struct Refusal {
  int alert = -1;
  std::size_t octets = 0;
  std::string server_text;
  Category server_category = Category::internal;
  State client = State::handshaking;
};
Refusal refuse(std::vector<std::string> suites, Candidate client_key, Candidate server_key) {
  End client(Role::client, suites);
  End server(Role::server, suites);
  set_keys(client.keys, std::move(client_key));
  set_keys(server.keys, std::move(server_key));
  EXPECT_TRUE(client.engine->start().has_value());
  Refusal refusal;
  for (int i = 0; i < 10; ++i) {
    (void)server.engine->feed(client.output());
    const ByteVector wire = server.output();
    refusal.octets += wire.size();
    if (const int alert = plain_alert(wire); alert >= 0) refusal.alert = alert;
    (void)client.engine->feed(wire);
  }
  EXPECT_EQ(server.engine->state(), State::failed);
  refusal.client = client.engine->state();
  if (server.engine->error()) {
    refusal.server_text = server.engine->error()->text();
    refusal.server_category = server.engine->error()->category();
  }
  return refusal;
}

class EverySuite : public ::testing::TestWithParam<CipherSuite> {};

TEST_P(EverySuite, MRFP_3_MRFP_6_CompletesAHandshakeAndCarriesDataBothWays) {
  // MRFP-3, MRFP-6
  const std::vector<std::string> suites = {std::string(GetParam().name)};
  End client(Role::client, suites);
  End server(Role::server, suites);
  set_keys(client.keys, candidate("me", 7, "from-client"));
  set_keys(server.keys, candidate("other", 9, "no"), candidate("me", 7, "yes"));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ASSERT_EQ(client.engine->state(), State::established)
      << (client.engine->error() ? client.engine->error()->text() : "");
  ASSERT_EQ(server.engine->state(), State::established);
  for (const End* end : {&client, &server}) {
    const SessionInfo& session = *end->engine->session();
    EXPECT_EQ(session.cipher_suite, GetParam().name);
    EXPECT_EQ(session.tls_version, GetParam().tls13 ? "TLSv1.3" : "TLSv1.2");
    EXPECT_EQ(session.psk_identity, "me");
    EXPECT_TRUE(session.extended_master_secret);
  }
  EXPECT_EQ(server.engine->session()->dialog_id, "yes");
  EXPECT_EQ(client.engine->session()->dialog_id, "from-client");

  ASSERT_TRUE(client.engine->write(as_bytes("ping")).has_value());
  ASSERT_TRUE(server.engine->write(as_bytes("pong")).has_value());
  carry(client, server);
  EXPECT_EQ(as_text(server.read_all()), "ping");
  EXPECT_EQ(as_text(client.read_all()), "pong");
}

TEST_P(EverySuite, MRFP_5_RefusesAPeerWithAnotherStreamsKey) {
  // MRFP-5: same identity, another key; and another stream's identity with its own key.
  const std::vector<std::string> suites = {std::string(GetParam().name)};
  const Refusal wrong_key = refuse(suites, candidate("me", 1), candidate("me", 2));
  const Refusal other_stream = refuse(suites, candidate("stream-b", 1), candidate("stream-a", 2));
  EXPECT_EQ(wrong_key.server_category, Category::unauthenticated) << wrong_key.server_text;
  EXPECT_EQ(other_stream.server_category, Category::unauthenticated) << other_stream.server_text;
  EXPECT_EQ(wrong_key.client, State::failed);
  EXPECT_EQ(other_stream.client, State::failed);
}

TEST_P(EverySuite, MRFP_5_WrongKeyAndUnknownIdentityLookTheSameToThePeer) {
  // MRFP-5
  const std::vector<std::string> suites = {std::string(GetParam().name)};
  const Refusal wrong_key = refuse(suites, candidate("me", 1), candidate("me", 2));
  const Refusal unknown = refuse(suites, candidate("xx", 1), candidate("me", 2));
  EXPECT_NE(wrong_key.alert, -1);
  EXPECT_EQ(wrong_key.alert, unknown.alert);
  EXPECT_EQ(wrong_key.octets, unknown.octets);
  // The local log may tell them apart.
  EXPECT_NE(wrong_key.server_text, unknown.server_text);
}

INSTANTIATE_TEST_SUITE_P(TlsPsk, EverySuite, ::testing::ValuesIn(kCipherSuites),
                         [](const auto& instance) {
                           std::string name(instance.param.name);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(TlsPsk, MRFP_6_PrefersTls13AndTheServersOrder) {
  // MRFP-6
  End client(Role::client, {"PSK-AES128-CBC-SHA256", "PSK-AES128-GCM-SHA256",
                            "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"});
  End server(Role::server, default_cipher_suites());
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ASSERT_EQ(server.engine->state(), State::established);
  EXPECT_EQ(server.engine->session()->cipher_suite, "TLS_AES_128_GCM_SHA256");

  End client12(Role::client, {"PSK-AES128-CBC-SHA256", "ECDHE-PSK-CHACHA20-POLY1305"});
  End server12(Role::server, default_cipher_suites());
  set_keys(client12.keys, candidate("me", 7));
  set_keys(server12.keys, candidate("me", 7));
  ASSERT_TRUE(client12.engine->start().has_value());
  carry(client12, server12);
  ASSERT_EQ(server12.engine->state(), State::established);
  EXPECT_EQ(server12.engine->session()->cipher_suite, "ECDHE-PSK-CHACHA20-POLY1305");
}

TEST(TlsPsk, MRFP_6_ClientOfBothVersionsTalksToAServerOfOne) {
  for (const auto& suites : {kTls12, kTls13}) {
    End client(Role::client, all_suites());
    End server(Role::server, suites);
    set_keys(client.keys, candidate("me", 7));
    set_keys(server.keys, candidate("me", 7));
    ASSERT_TRUE(client.engine->start().has_value());
    carry(client, server);
    ASSERT_EQ(server.engine->state(), State::established)
        << (server.engine->error() ? server.engine->error()->text() : "");
    EXPECT_EQ(server.engine->session()->cipher_suite, suites.front());
    EXPECT_EQ(server.engine->session()->psk_identity, "me");
  }
}

TEST(TlsPsk, NoCommonSuiteIsSaidOnBothSides) {
  End client(Role::client, {"PSK-AES128-GCM-SHA256"});
  End server(Role::server, {"PSK-AES256-GCM-SHA384"});
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ASSERT_EQ(server.engine->state(), State::failed);
  EXPECT_EQ(server.engine->error()->category(), Category::denied);
  EXPECT_THAT(server.engine->error()->text(), HasSubstr("cipher suites"));
  ASSERT_EQ(client.engine->state(), State::failed);
  EXPECT_EQ(client.engine->error()->category(), Category::denied);
}

TEST(TlsPsk, AClientNeedsExactlyOneKeyToStart) {
  End client(Role::client, kTls13);
  EXPECT_EQ(client.engine->start().error().category(), Category::conflict);
  set_keys(client.keys, candidate("a", 1), candidate("b", 2));
  EXPECT_EQ(client.engine->start().error().category(), Category::conflict);
  EXPECT_TRUE(client.output().empty());
  set_keys(client.keys, candidate("b", 2));
  EXPECT_TRUE(client.engine->start().has_value());
  EXPECT_FALSE(client.output().empty());
}

class EveryVersion : public ::testing::TestWithParam<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(TlsPsk, EveryVersion, ::testing::Values(kTls12, kTls13),
                         [](const auto& instance) {
                           return instance.param == kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(EveryVersion, AClientHelloWaitsUntilAKeyExists) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  ASSERT_TRUE(server.engine->feed(client.output()).has_value());
  EXPECT_EQ(server.engine->state(), State::waiting_for_key);
  EXPECT_FALSE(server.engine->wants_input());
  EXPECT_TRUE(server.output().empty());
  ASSERT_TRUE(server.engine->keys_changed().has_value());
  EXPECT_EQ(server.engine->state(), State::waiting_for_key);

  set_keys(server.keys, candidate("me", 7, "late"));
  ASSERT_TRUE(server.engine->keys_changed().has_value());
  carry(server, client);
  EXPECT_EQ(server.engine->state(), State::established);
  EXPECT_EQ(server.engine->session()->dialog_id, "late");
  EXPECT_EQ(client.engine->state(), State::established);
}

TEST_P(EveryVersion, AKeyThatIsWithdrawnEndsTheSessionThatUsesItAndNoOther) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("b", 2));
  set_keys(server.keys, candidate("a", 1), candidate("b", 2));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ASSERT_EQ(server.engine->state(), State::established);

  set_keys(server.keys, candidate("b", 2));
  EXPECT_TRUE(server.engine->keys_changed().has_value());
  EXPECT_EQ(server.engine->state(), State::established);

  set_keys(server.keys, candidate("a", 1));
  const auto result = server.engine->keys_changed();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::denied);
  // The peer is told that TLS ends.
  ASSERT_TRUE(client.engine->feed(server.output()).has_value());
  client.read_all();
  EXPECT_EQ(client.engine->state(), State::closed);
}

TEST_P(EveryVersion, BigDataArrivesWholeThroughSmallPieces) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ByteVector big(1 << 20);
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<std::uint8_t>(i * 2654435761u);
  ASSERT_TRUE(client.engine->write(big).has_value());
  const ByteVector wire = client.output();
  ByteVector got;
  for (std::size_t at = 0; at < wire.size(); at += 777) {
    ASSERT_TRUE(
        server.engine
            ->feed(Bytes(wire).subspan(at).first(std::min<std::size_t>(777, wire.size() - at)))
            .has_value());
    const ByteVector part = server.read_all();
    got.insert(got.end(), part.begin(), part.end());
  }
  EXPECT_EQ(got, big);
}

TEST_P(EveryVersion, AHandshakeInSingleOctetsWorks) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  for (int turn = 0; turn < 6; ++turn) {
    End& from = turn % 2 == 0 ? client : server;
    End& to = turn % 2 == 0 ? server : client;
    for (const std::uint8_t octet : from.output()) {
      ASSERT_TRUE(to.engine->feed({&octet, 1}).has_value());
    }
  }
  EXPECT_EQ(client.engine->state(), State::established);
  EXPECT_EQ(server.engine->state(), State::established);
}

TEST_P(EveryVersion, CloseNotifyGoesBothWays) {
  for (const bool client_first : {true, false}) {
    End client(Role::client, GetParam());
    End server(Role::server, GetParam());
    set_keys(client.keys, candidate("me", 7));
    set_keys(server.keys, candidate("me", 7));
    ASSERT_TRUE(client.engine->start().has_value());
    carry(client, server);
    End& first = client_first ? client : server;
    End& second = client_first ? server : client;
    first.engine->close();
    EXPECT_EQ(first.engine->state(), State::closing);
    EXPECT_EQ(first.engine->write(as_bytes("late")).error().category(), Category::conflict);
    ASSERT_TRUE(second.engine->feed(first.output()).has_value());
    EXPECT_TRUE(second.read_all().empty());
    EXPECT_EQ(second.engine->state(), State::closed);
    ASSERT_TRUE(first.engine->feed(second.output()).has_value());
    EXPECT_TRUE(first.read_all().empty());
    EXPECT_EQ(first.engine->state(), State::closed);
    EXPECT_TRUE(first.engine->feed_end().has_value());
    EXPECT_TRUE(second.engine->feed_end().has_value());
  }
}

TEST_P(EveryVersion, AnEndWithoutCloseNotifyIsATruncation) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  const auto ended = server.engine->feed_end();
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().category(), Category::unavailable);
  EXPECT_THAT(ended.error().text(), HasSubstr("data may be missing"));
  EXPECT_EQ(client.engine->state(), State::established);
  client.engine->close();
  EXPECT_TRUE(client.engine->feed_end().has_value());
  EXPECT_EQ(client.engine->state(), State::closed);
}

TEST_P(EveryVersion, AnyChangedOctetOfARecordIsNoticed) {
  End client(Role::client, GetParam());
  End server(Role::server, GetParam());
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  carry(client, server);
  ASSERT_TRUE(client.engine->write(as_bytes("transfer 10")).has_value());
  ByteVector wire = client.output();
  wire.back() ^= 1;
  (void)server.engine->feed(wire);
  EXPECT_TRUE(server.read_all().empty());
  ASSERT_EQ(server.engine->state(), State::failed);
  EXPECT_THAT(server.engine->error()->text(), HasSubstr("MAC"));
}

TEST_P(EveryVersion, AnyChangedOctetOfTheClientHelloIsRefusedOrHarmless) {
  // Whatever is flipped, no session ever stands that both ends agree on by accident.
  End reference(Role::client, GetParam());
  set_keys(reference.keys, candidate("me", 7));
  ASSERT_TRUE(reference.engine->start().has_value());
  const std::size_t size = reference.output().size();
  for (std::size_t at = 0; at < size; at += 3) {
    End client(Role::client, GetParam());
    End server(Role::server, GetParam());
    set_keys(client.keys, candidate("me", 7));
    set_keys(server.keys, candidate("me", 7));
    ASSERT_TRUE(client.engine->start().has_value());
    ByteVector hello = client.output();
    hello[at] ^= 0x41;
    (void)server.engine->feed(hello);
    carry(server, client);
    // Octets 1 and 2 are the record version, which TLS ignores in a ClientHello.
    if (at == 1 || at == 2) continue;
    EXPECT_FALSE(client.engine->state() == State::established &&
                 server.engine->state() == State::established)
        << "octet " << at;
  }
}

TEST(TlsPsk, GarbageAndOtherProtocolsAreRefusedWithASentence) {
  for (const std::string_view text :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "MSRP d93kswow SEND\r\nTo-Path: msrp://a;tcp\r\n"}) {
    End server(Role::server, default_cipher_suites());
    set_keys(server.keys, candidate("me", 7));
    const auto result = server.engine->feed(as_bytes(text));
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().category(), Category::malformed);
    EXPECT_THAT(result.error().text(), HasSubstr("TLS"));
    EXPECT_EQ(server.engine->state(), State::failed);
    // From then on the same error, and no more work.
    EXPECT_FALSE(server.engine->feed(as_bytes("more")).has_value());
    std::array<std::uint8_t, 8> buffer;
    EXPECT_FALSE(server.engine->read(buffer).has_value());
  }
}

TEST(TlsPsk, ATruncatedHandshakeIsUnavailableNotEstablished) {
  End client(Role::client, kTls13);
  End server(Role::server, kTls13);
  set_keys(client.keys, candidate("me", 7));
  set_keys(server.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  const ByteVector hello = client.output();
  ASSERT_TRUE(server.engine->feed(Bytes(hello).first(hello.size() - 1)).has_value());
  EXPECT_EQ(server.engine->state(), State::handshaking);
  EXPECT_EQ(server.engine->feed_end().error().category(), Category::unavailable);
}

TEST(TlsPsk, NothingCanBeSentBeforeTheHandshake) {
  End client(Role::client, kTls13);
  EXPECT_EQ(client.engine->write(as_bytes("x")).error().category(), Category::conflict);
}

// A peer made of OpenSSL alone, with settings that ours does not offer.
class BarePeer {
 public:
  explicit BarePeer(bool server) : context_(SSL_CTX_new(TLS_method())), server_(server) {
    SSL_CTX_set_psk_client_callback(context_, client_psk);
    if (server) SSL_CTX_set_psk_server_callback(context_, server_psk);
  }
  ~BarePeer() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    EVP_PKEY_free(key_);
    X509_free(certificate_);
  }
  SSL_CTX* context() { return context_; }
  SSL* ssl() {
    if (ssl_ == nullptr) {
      ssl_ = SSL_new(context_);
      SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
      server_ ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
    }
    return ssl_;
  }
  void use_certificate() {
    key_ = EVP_EC_gen("P-256");
    certificate_ = X509_new();
    X509_set_version(certificate_, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
    X509_set_pubkey(certificate_, key_);
    X509_sign(certificate_, key_, EVP_sha256());
    ASSERT_EQ(SSL_CTX_use_certificate(context_, certificate_), 1);
    ASSERT_EQ(SSL_CTX_use_PrivateKey(context_, key_), 1);
  }
  // Moves bytes between the two until nothing moves.
  void carry(End& end) {
    for (;;) {
      char buffer[4096];
      (void)SSL_read(ssl(), buffer, sizeof buffer);
      bool moved = false;
      ByteVector to_end(BIO_ctrl_pending(SSL_get_wbio(ssl_)));
      if (!to_end.empty()) {
        BIO_read(SSL_get_wbio(ssl_), to_end.data(), static_cast<int>(to_end.size()));
        (void)end.engine->feed(to_end);
        end.read_all();
        moved = true;
      }
      const ByteVector from_end = end.output();
      if (!from_end.empty()) {
        BIO_write(SSL_get_rbio(ssl_), from_end.data(), static_cast<int>(from_end.size()));
        moved = true;
      }
      if (!moved) break;
    }
    ERR_clear_error();
  }

 private:
  static unsigned int client_psk(SSL*, const char*, char* identity, unsigned int,
                                 unsigned char* key, unsigned int) {
    std::strcpy(identity, "me");
    std::memset(key, 7, 32);
    return 32;
  }
  static unsigned int server_psk(SSL*, const char*, unsigned char* key, unsigned int) {
    std::memset(key, 7, 32);
    return 32;
  }
  SSL_CTX* context_;
  bool server_;
  SSL* ssl_ = nullptr;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
};

// The verify data of the newest handshake: tells whether another one took place.
std::string peer_finished(SSL* ssl) {
  std::array<char, 64> data{};
  const std::size_t size = SSL_get_peer_finished(ssl, data.data(), data.size());
  EXPECT_GT(size, 0u);
  return std::string(data.data(), size);
}

TEST(TlsPsk, MRFP_7_RenegotiationByTheClientIsRefused) {
  // MRFP-7
  BarePeer client(false);
  SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client.context(), "PSK-AES128-GCM-SHA256");
  End server(Role::server, kTls12);
  set_keys(server.keys, candidate("me", 7));
  client.carry(server);
  ASSERT_EQ(server.engine->state(), State::established);
  ASSERT_TRUE(SSL_is_init_finished(client.ssl()));

  const std::string before = peer_finished(client.ssl());
  ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
  (void)SSL_do_handshake(client.ssl());
  client.carry(server);
  EXPECT_EQ(peer_finished(client.ssl()), before) << "a second handshake happened";
  EXPECT_FALSE(SSL_is_init_finished(client.ssl()));
}

TEST(TlsPsk, MRFP_7_RenegotiationByTheServerIsRefused) {
  // MRFP-7
  BarePeer server(true);
  SSL_CTX_set_max_proto_version(server.context(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(server.context(), "PSK-AES128-GCM-SHA256");
  End client(Role::client, kTls12);
  set_keys(client.keys, candidate("me", 7));
  ASSERT_TRUE(client.engine->start().has_value());
  server.carry(client);
  ASSERT_EQ(client.engine->state(), State::established);
  const std::string before = peer_finished(server.ssl());
  ASSERT_EQ(SSL_renegotiate(server.ssl()), 1);
  (void)SSL_do_handshake(server.ssl());
  server.carry(client);
  EXPECT_EQ(peer_finished(server.ssl()), before) << "a second handshake happened";
}

TEST(TlsPsk, MRFP_7_AnnouncesSecureRenegotiationSupport) {
  // MRFP-7: RFC 5746 3.6, the renegotiation_info that tells peers the handshake is not spliced.
  BarePeer client(false);
  SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client.context(), "PSK-AES128-GCM-SHA256");
  End server(Role::server, kTls12);
  set_keys(server.keys, candidate("me", 7));
  client.carry(server);
  EXPECT_EQ(SSL_get_secure_renegotiation_support(client.ssl()), 1);
}

TEST(TlsPsk, APeerWithoutAPskIsRefused) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    BarePeer client(false);
    SSL_CTX_set_psk_client_callback(client.context(), nullptr);
    SSL_CTX_set_min_proto_version(client.context(), version);
    SSL_CTX_set_max_proto_version(client.context(), version);
    End server(Role::server, default_cipher_suites());
    set_keys(server.keys, candidate("me", 7));
    client.carry(server);
    ASSERT_EQ(server.engine->state(), State::failed);
    EXPECT_EQ(server.engine->error()->category(), Category::denied)
        << server.engine->error()->text();
    EXPECT_FALSE(server.engine->session().has_value());
  }
}

TEST(TlsPsk, AServerThatAnswersWithACertificateIsRefused) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    BarePeer server(true);
    SSL_CTX_set_psk_server_callback(server.context(), nullptr);
    SSL_CTX_set_min_proto_version(server.context(), version);
    SSL_CTX_set_max_proto_version(server.context(), version);
    server.use_certificate();
    End client(Role::client, default_cipher_suites());
    set_keys(client.keys, candidate("me", 7));
    ASSERT_TRUE(client.engine->start().has_value());
    server.carry(client);
    ASSERT_EQ(client.engine->state(), State::failed);
    EXPECT_FALSE(client.engine->session().has_value());
  }
}

TEST(TlsPsk, MRFP_9_NullEncryptionIsRefusedEvenIfThePeerWantsIt) {
  // MRFP-9
  BarePeer client(false);
  SSL_CTX_set_security_level(client.context(), 0);
  SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
  ASSERT_EQ(SSL_CTX_set_cipher_list(client.context(), "PSK-NULL-SHA256:PSK-NULL-SHA"), 1);
  End server(Role::server, all_suites());
  set_keys(server.keys, candidate("me", 7));
  client.carry(server);
  EXPECT_EQ(server.engine->state(), State::failed);
}

TEST(TlsPsk, MRFP_9_NoCompressionNoTicketsNoResumption) {
  // MRFP-9
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    int tickets = 0;
    BarePeer client(false);
    SSL_CTX_set_min_proto_version(client.context(), version);
    SSL_CTX_set_max_proto_version(client.context(), version);
    SSL_CTX_set_cipher_list(client.context(), "PSK");
    SSL_CTX_clear_options(client.context(), SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(client.context(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(client.context(), &tickets);
    SSL_CTX_sess_set_new_cb(client.context(), [](SSL* ssl, SSL_SESSION* session) {
      if (SSL_SESSION_has_ticket(session)) {
        ++*static_cast<int*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      }
      return 0;
    });
    End server(Role::server, default_cipher_suites());
    set_keys(server.keys, candidate("me", 7));
    client.carry(server);
    ASSERT_EQ(server.engine->state(), State::established)
        << (server.engine->error() ? server.engine->error()->text() : "");
    EXPECT_EQ(SSL_get_current_compression(client.ssl()), nullptr);
    EXPECT_EQ(tickets, 0);

    if (version == TLS1_2_VERSION) {
      // The session id that it was given, if any, opens nothing.
      SSL_SESSION* session = SSL_get1_session(client.ssl());
      BarePeer again(false);
      SSL_CTX_set_max_proto_version(again.context(), version);
      SSL_CTX_set_cipher_list(again.context(), "PSK");
      SSL_set_session(again.ssl(), session);
      End second(Role::server, default_cipher_suites());
      set_keys(second.keys, candidate("me", 7));
      again.carry(second);
      EXPECT_EQ(SSL_session_reused(again.ssl()), 0);
      SSL_SESSION_free(session);
    }
  }
}

TEST(TlsPsk, MRFP_6_SendsNoIdentityHint) {
  // MRFP-6, RFC 4279 2: without a hint plain PSK has no ServerKeyExchange.
  static bool hinted;
  hinted = false;
  BarePeer client(false);
  SSL_CTX_set_max_proto_version(client.context(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client.context(), "PSK-AES128-GCM-SHA256");
  SSL_CTX_set_psk_client_callback(client.context(),
                                  [](SSL*, const char* hint, char* identity, unsigned int,
                                     unsigned char* key, unsigned int) -> unsigned int {
                                    hinted = hint != nullptr && *hint != '\0';
                                    std::strcpy(identity, "me");
                                    std::memset(key, 7, 32);
                                    return 32;
                                  });
  End server(Role::server, kTls12);
  set_keys(server.keys, candidate("me", 7));
  client.carry(server);
  ASSERT_EQ(server.engine->state(), State::established);
  EXPECT_FALSE(hinted);
}

}  // namespace
}  // namespace keystub::tlspsk
