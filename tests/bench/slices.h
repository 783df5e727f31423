// Ratios that hold on a busy machine: two pieces of work run in turns, in short slices, timed by
// the processor time of their thread, and the median of the slices' ratios counts.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

#include "tests/bench/figures.h"

namespace keystub::bench {

inline std::chrono::nanoseconds thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// How long `work` takes, from as many runs as fit into `length`.
template <class Work>
double seconds_per_run(std::chrono::nanoseconds length, Work& work) {
  const auto begin = thread_time();
  std::size_t runs = 0;
  std::chrono::nanoseconds spent{};
  do {
    for (int i = 0; i < 16; ++i) work();
    runs += 16;
    spent = thread_time() - begin;
  } while (spent < length);
  return std::chrono::duration<double>(spent).count() / static_cast<double>(runs);
}

// Prints how many times as long `longer` takes as `shorter`: `figure NAME VALUE`, and before it,
// for a person, both times and the spread. The two are named by what they do.
template <class Longer, class Shorter>
void print_ratio(std::string_view name, std::string_view longer_name, Longer longer,
                 std::string_view shorter_name, Shorter shorter) {
  constexpr std::size_t kSlices = 51;
  constexpr std::chrono::milliseconds kLength{20};
  constexpr double kMicro = 1e6;
  const auto text = [](std::string_view view) { return static_cast<int>(view.size()); };
  std::vector<double> longer_times;
  std::vector<double> shorter_times;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < kSlices; ++i) {
    shorter_times.push_back(seconds_per_run(kLength, shorter));
    longer_times.push_back(seconds_per_run(kLength, longer));
    ratios.push_back(longer_times.back() / shorter_times.back());
  }
  std::printf("%.*s: %.*s %.3f us, %.*s %.3f us\n", text(name), name.data(), text(longer_name),
              longer_name.data(), spread_of(longer_times).median * kMicro, text(shorter_name),
              shorter_name.data(), spread_of(shorter_times).median * kMicro);
  print_figure(name, spread_of(ratios));
}

}  // namespace keystub::bench
