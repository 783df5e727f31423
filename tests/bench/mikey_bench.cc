// What the KMS does for one REQUEST_INIT and one RESOLVE_INIT (256-bit suite, key forking), against
// the floor: exactly the PRF, MAC, AES and random octets of that exchange, as the steps of vector m
// list them, with EVP contexts that were prepared before.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/random.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "tests/bench/slices.h"
#include "tests/support/vectors.h"

namespace keystub::bench {
namespace {

using namespace mikey;
using testing::hex;
using testing::Scenario;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "mikey bench: %s failed\n", what);
  std::exit(1);
}

// The bare cryptographic calls of one exchange.
class Floor {
 public:
  Floor(const Scenario& scenario, std::string_view exchange, std::size_t random_octets)
      : random_(random_octets) {
    for (const auto& step : scenario.steps()) {
      const std::string name = step.contains("name") ? step.at("name") : step.at("what");
      if (!belongs(name, exchange)) continue;
      if (step.at("step") == "derive") {
        // P(s, label, 1): A_1 = HMAC(label), then HMAC(A_1 || label).
        const std::size_t label = step.at("label").get<std::string>().size() / 2;
        const std::string key = step.at("inkey");
        hmacs_.push_back({context(key), ByteVector(label)});
        hmacs_.push_back({context(key), ByteVector(32 + label)});
      } else if (step.at("step") == "mac") {
        hmacs_.push_back({context(step.at("key")), hex(step.at("input").get<std::string>())});
      } else {
        // The ticket's KEMAC is encrypted for one exchange and decrypted for the other.
        ciphers_.push_back(hex(step.at("input").get<std::string>()));
      }
    }
    cipher_ = EVP_CIPHER_CTX_new();
    const ByteVector key(32, 1);
    const ByteVector iv(16, 2);
    if (EVP_EncryptInit_ex2(cipher_, EVP_aes_256_ctr(), key.data(), iv.data(), nullptr) != 1) {
      die("EVP_EncryptInit_ex2");
    }
  }

  void operator()() {
    std::uint8_t out[32];
    std::size_t size = 0;
    for (const Hmac& hmac : hmacs_) {
      if (EVP_MAC_init(hmac.context, nullptr, 0, nullptr) != 1 ||
          EVP_MAC_update(hmac.context, hmac.input.data(), hmac.input.size()) != 1 ||
          EVP_MAC_final(hmac.context, out, &size, sizeof out) != 1) {
        die("HMAC");
      }
    }
    for (ByteVector& text : ciphers_) {
      const std::uint8_t key[32] = {3};
      const std::uint8_t iv[16] = {4};
      int written = 0;
      if (EVP_EncryptInit_ex2(cipher_, nullptr, key, iv, nullptr) != 1 ||
          EVP_EncryptUpdate(cipher_, text.data(), &written, text.data(),
                            static_cast<int>(text.size())) != 1) {
        die("AES");
      }
    }
    if (RAND_priv_bytes(random_.data(), static_cast<int>(random_.size())) != 1) die("RAND");
  }

 private:
  struct Hmac {
    EVP_MAC_CTX* context;
    ByteVector input;
  };

  // The derivations and MACs that the KMS makes in an exchange, by the vectors' names for them.
  static bool belongs(const std::string& name, std::string_view exchange) {
    const bool ticket = name.starts_with("ticket") || name.starts_with("MPKi") || name == "MPKr";
    if (exchange == "request") return ticket || name.starts_with("REQUEST_");
    return ticket || name.starts_with("RESOLVE_") || name.starts_with("Vr") ||
           name.starts_with("Initiator Data") || name == "TGK'" || name == "MPKr'";
  }

  EVP_MAC_CTX* context(const std::string& key) {
    EVP_MAC_CTX*& context = contexts_[key];
    if (context == nullptr) {
      EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
      context = EVP_MAC_CTX_new(mac);
      EVP_MAC_free(mac);
      char digest[] = "SHA256";
      const OSSL_PARAM parameters[] = {
          OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
          OSSL_PARAM_construct_end()};
      const ByteVector octets = hex(key);
      if (EVP_MAC_init(context, octets.data(), octets.size(), parameters) != 1) die("EVP_MAC_init");
    }
    return context;
  }

  std::map<std::string, EVP_MAC_CTX*> contexts_;  // live as long as the program
  std::vector<Hmac> hmacs_;
  std::vector<ByteVector> ciphers_;
  EVP_CIPHER_CTX* cipher_ = nullptr;
  ByteVector random_;
};

template <class T>
T checked(Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().describe().c_str());
    die(what);
  }
  return std::move(*result);
}

void run() {
  const Scenario s(KEYSTUB_SOURCE_DIR, "m");
  const SystemClock clock;
  OpenSslRandom random;
  const Environment env{clock, random};
  const Psk psk_i(s.octets("psk_i"));
  const Psk psk_r(s.octets("psk_r"));
  const ByteVector tpk = s.octets("tpk");
  const ByteVector request_init = s.message("REQUEST_INIT");
  const ByteVector resolve_init = s.message("RESOLVE_INIT");
  const ByteVector request_resp = s.message("REQUEST_RESP");
  const Message resp = checked(Message::parse(request_resp), "REQUEST_RESP");
  const TicketPolicy granted = checked(resp.ticket->policy.read("REQUEST_RESP"), "policy");
  const Identity alice = *granted.idr_i;
  const Identity bob = granted.idr_r.front();
  const Identity kms = *granted.idr_kms;

  const auto request = [&] {
    const auto received = checked(ReceivedRequest::parse(request_init), "parse");
    const auto proven = checked(received.authenticate(psk_i, alice, kms), "authenticate");
    const auto answer = checked(
        proven.grant(env, granted, proven.wish().keys, {Tpk(tpk), "tpk-7", "thdr"}), "grant");
    if (answer.message.size() != request_resp.size()) die("REQUEST_RESP");
  };
  const auto resolve = [&] {
    const auto received = checked(ReceivedResolve::parse(resolve_init), "parse");
    const auto proven = checked(received.authenticate(psk_r, bob, kms), "authenticate");
    const auto opened = checked(proven.open(Tpk(tpk)), "open");
    const auto answer = checked(opened.respond(env, bob), "respond");
    if (answer.empty()) die("RESOLVE_RESP");
  };
  // SPI, MPK, TGK and RAND of the ticket; RANDRkms.
  print_cost("mikey.request.vs_floor", request, Floor(s, "request", 4 + 32 + 32 + 32));
  print_cost("mikey.resolve.vs_floor", resolve, Floor(s, "resolve", 32));
}

}  // namespace
}  // namespace keystub::bench

int main() { keystub::bench::run(); }
