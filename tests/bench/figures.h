// What a benchmark prints: lines `figure NAME VALUE`, and before each, for a person, the spread of
// the slices that it is the median of.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

namespace keystub::bench {

// What came out of several slices.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
  std::size_t slices = 0;
};

inline Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back(), values.size()};
}

inline void print_figure(std::string_view name, double value) {
  std::printf("figure %.*s %.3f\n", static_cast<int>(name.size()), name.data(), value);
  std::fflush(stdout);
}

inline void print_figure(std::string_view name, const Spread& spread) {
  std::printf("%.*s: %zu slices: min %.2f, max %.2f\n", static_cast<int>(name.size()), name.data(),
              spread.slices, spread.min, spread.max);
  print_figure(name, spread.median);
}

}  // namespace keystub::bench
