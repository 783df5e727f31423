#include "mikey/cli/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace keystub::mikey::cli {
namespace {

using Kind = Difference::Kind;

constexpr std::size_t kMostCompared = 1000;

// Payloads with a role are told apart by it: an IDRi is not compared with an IDRr.
std::string key_of(const Node& node) {
  std::string key = node.name;
  for (const Node& child : node.children) {
    if (child.name.ends_with(" Role")) key += " " + child.value;
  }
  return key;
}

std::string summary(const Node& node) {
  return node.is_group() ? fmt::format("{} octets", node.length) : node.value;
}

class Comparison {
 public:
  std::vector<Difference> differences;

  void compare(const std::string& path, const std::vector<Node>& all_before,
               const std::vector<Node>& all_after) {
    const std::vector<const Node*> before = compared(all_before);
    const std::vector<const Node*> after = compared(all_after);
    // The longest common subsequence of the keys says what stayed.
    const std::size_t n = before.size();
    const std::size_t m = after.size();
    if (n > kMostCompared || m > kMostCompared) {
      differences.push_back({Kind::changed, path, fmt::format("{} parts", n),
                             fmt::format("{} parts, too many to be compared one by one", m)});
      return;
    }
    std::vector<std::vector<std::size_t>> common(n + 1, std::vector<std::size_t>(m + 1, 0));
    for (std::size_t i = n; i-- > 0;) {
      for (std::size_t j = m; j-- > 0;) {
        common[i][j] = key_of(*before[i]) == key_of(*after[j])
                           ? common[i + 1][j + 1] + 1
                           : std::max(common[i + 1][j], common[i][j + 1]);
      }
    }
    std::map<std::string, int> seen_before;
    std::map<std::string, int> seen_after;
    const auto path_of = [&](const Node& node, std::map<std::string, int>& seen,
                             const std::vector<const Node*>& level) {
      const int number = ++seen[node.name];
      const bool alone = std::ranges::count(level, node.name, &Node::name) == 1;
      const std::string name = alone ? node.name : fmt::format("{} {}", node.name, number);
      return path.empty() ? name : path + " / " + name;
    };
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < n || j < m) {
      if (i < n && j < m && key_of(*before[i]) == key_of(*after[j])) {
        const std::string inner = path_of(*before[i], seen_before, before);
        ++seen_after[after[j]->name];
        compare_pair(inner, *before[i++], *after[j++]);
      } else if (j == m || (i < n && common[i + 1][j] >= common[i][j + 1])) {
        const Node& gone = *before[i++];
        differences.push_back(
            {Kind::removed, path_of(gone, seen_before, before), summary(gone), {}});
      } else {
        const Node& come = *after[j++];
        differences.push_back({Kind::added, path_of(come, seen_after, after), {}, summary(come)});
      }
    }
  }

 private:
  static std::vector<const Node*> compared(const std::vector<Node>& nodes) {
    std::vector<const Node*> out;
    for (const Node& node : nodes) {
      if (node.kind != Node::Kind::derived) out.push_back(&node);
    }
    return out;
  }

  void compare_pair(const std::string& path, const Node& before, const Node& after) {
    if (before.is_group() && after.is_group())
      return compare(path, before.children, after.children);
    if (before.is_group() == after.is_group() && before.value == after.value) return;
    differences.push_back({Kind::changed, path, summary(before), summary(after)});
  }
};

}  // namespace

std::vector<Difference> diff(const std::vector<Node>& before, const std::vector<Node>& after) {
  Comparison comparison;
  comparison.compare({}, before, after);
  return std::move(comparison.differences);
}

}  // namespace keystub::mikey::cli
