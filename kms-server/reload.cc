#include "kms-server/reload.h"

#include <algorithm>
#include <string_view>

namespace keystub::kms {
namespace {

// A key, or a section with all its keys. KmsServer::reload() takes them over, main() the log level.
// Certificates, their keys and revocation lists need no signal: their files are watched.
constexpr std::string_view kReloadable[] = {"audit.on_failure",
                                            "kek_next.",
                                            "limits.",
                                            "log.level",
                                            "pk.certificate",
                                            "pk.crl",
                                            "pk.enabled",
                                            "pk.previous_certificate",
                                            "pk.previous_private_key",
                                            "pk.private_key",
                                            "pk.trust_anchors",
                                            "policy.",
                                            "roles."};

bool is_reloadable(std::string_view key) {
  return std::ranges::any_of(kReloadable, [&](std::string_view one) {
    return one.ends_with('.') ? key.starts_with(one) : key == one;
  });
}

}  // namespace

ConfigChanges compare(const std::map<std::string, std::string>& before,
                      const std::map<std::string, std::string>& after) {
  ConfigChanges changes;
  for (const auto& [key, value] : after) {
    const auto old = before.find(key);
    if (old != before.end() && old->second == value) continue;
    (is_reloadable(key) ? changes.now : changes.at_next_start).push_back(key);
  }
  return changes;
}

}  // namespace keystub::kms
