// What a new configuration changes in a running KMS (SIGHUP), and what waits for its next start.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace keystub::kms {

// Keys whose values differ, in their order.
struct ConfigChanges {
  std::vector<std::string> now;            // taken over at once
  std::vector<std::string> at_next_start;  // everything else
};

// `before` and `after`: service::Config::values().
ConfigChanges compare(const std::map<std::string, std::string>& before,
                      const std::map<std::string, std::string>& after);

}  // namespace keystub::kms
