// The cryptographic calls that the KMS cannot do without in one exchange, as the steps of a
// scenario of the vectors list them: what its whole work is measured against (tests/bench).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/vectors.h"

namespace keystub::testing {

enum class KmsExchange { request, resolve };

struct KmsCalls {
  // HMACs of PRF and MAC, by their key and the octets that they cover.
  struct Hmac {
    std::string key;  // hex: which HMACs share a key
    std::size_t octets = 0;
  };
  std::vector<Hmac> hmacs;
  std::vector<std::size_t> ciphers;  // octets that are encrypted or decrypted
  std::size_t random = 0;            // octets of the one draw
};

// The names of the steps that the KMS takes. It makes the ticket's keys in the one exchange and
// makes them again in the other.
inline std::vector<std::string_view> kms_steps(KmsExchange exchange) {
  if (exchange == KmsExchange::request) {
    return {"REQUEST_INIT auth_key",
            "REQUEST_INIT_PSK V",
            "ticket encr_key",
            "ticket salt_key",
            "ticket KEMAC",
            "ticket auth_key",
            "ticket V",
            "MPKi",
            "MPKr",
            "REQUEST_RESP encr_key",
            "REQUEST_RESP salt_key",
            "REQUEST_RESP KEMAC",
            "REQUEST_RESP auth_key",
            "REQUEST_RESP V"};
  }
  return {"ticket encr_key",
          "ticket salt_key",
          "ticket KEMAC",
          "ticket auth_key",
          "ticket V",
          "MPKi",
          "MPKr",
          "Vr auth_key",
          "Initiator Data Vr",
          "RESOLVE_INIT auth_key",
          "RESOLVE_INIT_PSK V",
          "TGK'",
          "MPKr'",
          "RESOLVE_RESP encr_key",
          "RESOLVE_RESP salt_key",
          "RESOLVE_RESP KEMAC",
          "RESOLVE_RESP auth_key",
          "RESOLVE_RESP V"};
}

// `scenario` uses the 256-bit suite and key forking.
inline KmsCalls kms_calls(const Scenario& scenario, KmsExchange exchange) {
  constexpr std::size_t kHash = 32;
  const auto octets = [](const nlohmann::json& step, const char* field) {
    return step.at(field).get<std::string>().size() / 2;
  };
  KmsCalls calls;
  for (const std::string_view name : kms_steps(exchange)) {
    const auto step = std::ranges::find_if(scenario.steps(), [&](const nlohmann::json& s) {
      return s.value("name", s.value("what", "")) == name;
    });
    if (step == scenario.steps().end()) throw std::logic_error("no step " + std::string(name));
    if (step->at("step") == "derive") {
      // P(s, label, m) for an inkey of one block: A_i = HMAC(A_(i-1)), then HMAC(A_i || label).
      const std::size_t label = octets(*step, "label");
      for (std::size_t done = 0; done < octets(*step, "outkey"); done += kHash) {
        calls.hmacs.push_back({step->at("inkey"), done == 0 ? label : kHash});
        calls.hmacs.push_back({step->at("inkey"), kHash + label});
      }
    } else if (step->at("step") == "mac") {
      calls.hmacs.push_back({step->at("key"), octets(*step, "input")});
    } else {
      calls.ciphers.push_back(octets(*step, "input"));
    }
  }
  const std::vector<std::string> drawn =
      exchange == KmsExchange::request
          ? std::vector<std::string>{"mpk_spi", "mpk", "tgk", "ticket_rand"}
          : std::vector<std::string>{"randrkms"};
  for (const std::string& input : drawn) calls.random += scenario.octets(input).size();
  return calls;
}

}  // namespace keystub::testing
