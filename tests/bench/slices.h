// Ratios that hold on a busy machine: two pieces of work run in turns, in short slices, and the
// median of the slices' ratios counts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

namespace keystub::bench {

// How often `work` runs in `length`, per second.
template <class Work>
double rate(std::chrono::nanoseconds length, Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  std::size_t runs = 0;
  std::chrono::nanoseconds spent{};
  do {
    for (int i = 0; i < 16; ++i) work();
    runs += 16;
    spent = std::chrono::steady_clock::now() - begin;
  } while (spent < length);
  return static_cast<double>(runs) / std::chrono::duration<double>(spent).count();
}

// Prints how many times as long `work` takes as `yardstick`: `figure NAME VALUE`, with the rates
// and the spread for a person.
template <class Work, class Yardstick>
void print_cost(std::string_view name, Work work, Yardstick yardstick) {
  constexpr int kSlices = 9;
  constexpr std::chrono::milliseconds kLength{200};
  std::vector<double> ratios;
  std::vector<double> rates;
  for (int i = 0; i < kSlices; ++i) {
    const double floor = rate(kLength, yardstick);
    const double measured = rate(kLength, work);
    ratios.push_back(floor / measured);
    rates.push_back(measured);
  }
  std::ranges::sort(ratios);
  std::ranges::sort(rates);
  std::printf("%.*s: %.0f/s; cost in floors, %d slices: min %.2f, max %.2f\n",
              static_cast<int>(name.size()), name.data(), rates[kSlices / 2], kSlices,
              ratios.front(), ratios.back());
  std::printf("figure %.*s %.3f\n", static_cast<int>(name.size()), name.data(),
              ratios[kSlices / 2]);
}

}  // namespace keystub::bench
