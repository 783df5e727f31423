#include "tlspsk/cipher_suites.h"

#include <algorithm>

namespace keystub::tlspsk {

const CipherSuite* find_cipher_suite(std::string_view name) noexcept {
  const auto* found = std::ranges::find(kCipherSuites, name, &CipherSuite::name);
  return found == std::ranges::end(kCipherSuites) ? nullptr : found;
}

std::vector<std::string> default_cipher_suites() {
  std::vector<std::string> names;
  for (const CipherSuite& suite : kCipherSuites) {
    if (suite.on_default) names.emplace_back(suite.name);
  }
  return names;
}

Result<void> validate_cipher_suites(std::span<const std::string> names) {
  if (names.empty()) return fail(Category::malformed, "the list of cipher suites is empty");
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (find_cipher_suite(*name) == nullptr) {
      std::string known;
      for (const CipherSuite& suite : kCipherSuites) {
        known.append(known.empty() ? "" : ", ").append(suite.name);
      }
      return fail(Category::malformed, "\"" + *name +
                                           "\" is not a PSK cipher suite that may be used; "
                                           "use some of: " +
                                           known);
    }
    if (std::find(names.begin(), name, *name) != name) {
      return fail(Category::malformed, "the cipher suite " + *name + " is listed twice");
    }
  }
  return {};
}

}  // namespace keystub::tlspsk
