// lib/mikey: decoding against GStreamer, the KMS's exchanges against the cryptography in them, and,
// for a person, the time of each on its own. docs/performance.md has the figures.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include "tests/bench/crypto_floor.h"
#include "tests/bench/mikey_decode.h"
#include "tests/bench/slices.h"
#include "tests/support/kms_exchanges.h"

namespace keystub::bench {
namespace {

using testing::KmsExchange;
using testing::KmsExchanges;
using testing::Scenario;

constexpr unsigned kDecodeSeconds = 10;

bool compare_decoders() {
  const ByteVector message = rfc_3830_message();
  const GStreamerDecoder gstreamer(message);
  alarm(kDecodeSeconds);  // GStreamer's decoder loops for ever on what it does not know
  const std::uint64_t expected = gstreamer.sum();
  alarm(0);
  if (expected == 0 || sum_by_keystub(message) != expected) {
    std::fprintf(stderr, "bench: the decoders do not read the same: %lu and %lu\n", expected,
                 sum_by_keystub(message));
    return false;
  }
  print_ratio(
      "mikey.decode.vs_gstreamer", "GStreamer", [&] { benchmark::DoNotOptimize(gstreamer.sum()); },
      "Keystub", [&] { benchmark::DoNotOptimize(sum_by_keystub(message)); });
  return true;
}

void compare_exchanges(const Scenario& scenario, KmsExchanges& kms) {
  print_ratio(
      "mikey.request.vs_floor", "REQUEST_INIT", [&] { benchmark::DoNotOptimize(kms.request()); },
      "floor", CryptoFloor(kms_calls(scenario, KmsExchange::request)));
  print_ratio(
      "mikey.resolve.vs_floor", "RESOLVE_INIT", [&] { benchmark::DoNotOptimize(kms.resolve()); },
      "floor", CryptoFloor(kms_calls(scenario, KmsExchange::resolve)));
}

void add_benchmark(const char* name, std::function<void()> work) {
  benchmark::RegisterBenchmark(name, [work = std::move(work)](benchmark::State& state) {
    for (auto _ : state) work();
  });
}

}  // namespace
}  // namespace keystub::bench

int main(int argc, char** argv) {
  using namespace keystub::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (!compare_decoders()) return 1;
  const Scenario scenario(KEYSTUB_SOURCE_DIR, "m");
  KmsExchanges kms(scenario);
  compare_exchanges(scenario, kms);

  const keystub::ByteVector transfer_init =
      Scenario(KEYSTUB_SOURCE_DIR, "c").message("TRANSFER_INIT");
  add_benchmark("decode TRANSFER_INIT (scenario c)",
                [&] { benchmark::DoNotOptimize(keystub::mikey::Message::parse(transfer_init)); });
  add_benchmark("KMS, REQUEST_INIT to REQUEST_RESP",
                [&] { benchmark::DoNotOptimize(kms.request()); });
  add_benchmark("KMS, RESOLVE_INIT to RESOLVE_RESP",
                [&] { benchmark::DoNotOptimize(kms.resolve()); });
  benchmark::RunSpecifiedBenchmarks();
}
