// The KMS: its throughput and latency against an RPC that does nothing, against one that does its
// cryptography, and against MIT Kerberos; and what a million identities cost. docs/performance.md
// says how each figure is made.
#include <cstdint>
#include <cstdio>

#include "service/command_line.h"
#include "tests/bench/figures.h"
#include "tests/bench/krb5_kdc.h"
#include "tests/bench/ticket_load.h"
#include "tests/support/temp_dir.h"

namespace keystub::bench {
namespace {

// Messages that are built and sent together to fill the cache: they must not grow older than the
// clock skew.
constexpr std::size_t kAtOnce = 20'000;

struct Options {
  std::int64_t slices = 7;
  std::int64_t slice_ms = 3000;
  std::int64_t identities = 100'000;
  std::int64_t many_identities = 1'000'000;
  std::string data;
  std::vector<std::string> parts;

  std::chrono::milliseconds length() const { return std::chrono::milliseconds(slice_ms); }
  std::size_t count() const { return static_cast<std::size_t>(slices); }
  bool wants(std::string_view part) const {
    return parts.empty() || std::ranges::find(parts, part) != parts.end();
  }
  bool wants_rate(std::string_view of) const { return wants("rate") || wants(of); }
};

// One server and the connections to it. The KMS takes each message once; the echoes do not look.
struct Target {
  TicketLoad load;
  const ChildProcess& server;
  bool repeat;
  std::vector<double> rates = {};            // of each compare() slice: calls per second
  std::vector<double> micros_per_call = {};  // the server's processor time

  double run(LoadPlan plan, std::span<const TicketCall> calls) {
    plan.repeat = repeat;
    return load.run(plan, calls);
  }
  // One slice among others.
  double measure(const LoadPlan& plan, std::span<const TicketCall> calls) {
    constexpr double kMicro = 1e6;
    const double before = server.cpu_seconds();
    rates.push_back(run(plan, calls));
    const double used = server.cpu_seconds() - before;
    double done = rates.back() * std::chrono::duration<double>(plan.length).count();
    if (!repeat) done = std::min(done, static_cast<double>(calls.size()));  // then it ended early
    micros_per_call.push_back(used / done * kMicro);
    return rates.back();
  }
};

// What the slices since the last time came to, for a person.
void print_rates(const std::string& name,
                 std::initializer_list<std::pair<const char*, Target*>> targets) {
  std::printf("%s: per second (and us of the server's processor time for one):", name.c_str());
  for (const auto& [called, target] : targets) {
    std::printf(" %s %.0f (%.1f)", called, spread_of(std::exchange(target->rates, {})).median,
                spread_of(std::exchange(target->micros_per_call, {})).median);
  }
  std::printf("\n");
}

std::size_t calls_for(double per_second, std::chrono::duration<double> length) {
  return static_cast<std::size_t>(1.5 * per_second * length.count()) + 1024;
}

constexpr LoadPlan kUntilAllAreAnswered{.length = std::chrono::minutes(5)};

// Every identity asks once, so that the caches are as full as they get. Returns requests per
// second.
double ask_once_each(KmsHouse& house, Target& kms) {
  double per_second = 0;
  for (std::size_t done = 0; done < house.identities(); done += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, house.identities() - done);
    per_second = kms.run(kUntilAllAreAnswered, house.requests_of_each(done, count));
  }
  return per_second;
}

// The KMS in its house, known to all clients: every identity has been asked for, as far as the
// cache of keys goes, and there are tickets to resolve.
class KmsUnderLoad {
 public:
  KmsUnderLoad(const Options& options, std::size_t identities)
      : options_(options), house_(options.data, identities) {
    house_.start();
    kms_ = std::make_unique<Target>(
        Target{TicketLoad(house_.address(), house_.tls("ca.pem")), house_.server(), false});
  }

  KmsHouse& house() { return house_; }
  Target& kms() { return *kms_; }

  // Returns requests per second.
  double warm_up() {
    constexpr std::size_t kTickets = 4096;
    const double per_second = ask_once_each(house_, *kms_);
    kms_->run(kUntilAllAreAnswered, house_.requests_for_tickets(kTickets));
    return per_second;
  }

  std::vector<TicketCall> calls(TicketExchange exchange, double per_second) {
    const std::size_t count = calls_for(per_second, options_.length());
    return exchange == TicketExchange::request ? house_.requests(count) : house_.resolves(count);
  }

 private:
  const Options& options_;
  KmsHouse house_;
  std::unique_ptr<Target> kms_;
};

// The two echoes, with answers that the KMS gave.
class Echoes {
 public:
  explicit Echoes(KmsUnderLoad& kms) {
    const LoadPlan request{.outstanding = 1, .length = std::chrono::seconds(10)};
    LoadPlan resolve = request;
    resolve.exchange = TicketExchange::resolve;
    kms.kms().run(request, kms.house().requests(1));
    folder_.write("request_resp", kms.kms().load.last_answer());
    kms.kms().run(resolve, kms.house().resolves(1));
    folder_.write("resolve_resp", kms.kms().load.last_answer());
    empty_ = start("empty", kms.house());
    crypto_ = start("crypto", kms.house());
  }
  Target& empty() { return *empty_; }
  Target& crypto() { return *crypto_; }

 private:
  std::unique_ptr<Target> start(const char* kind, const KmsHouse& house) {
    servers_.push_back(std::make_unique<ChildProcess>(
        std::vector<std::string>{program("bench-kms-echo"), kind, house.tls(""),
                                 folder_ / "request_resp", folder_ / "resolve_resp"}));
    return std::make_unique<Target>(
        Target{TicketLoad(servers_.back()->line(), house.tls("ca.pem")), *servers_.back(), true});
  }

  testing::TempDir folder_;
  std::vector<std::unique_ptr<ChildProcess>> servers_;
  std::unique_ptr<Target> empty_;
  std::unique_ptr<Target> crypto_;
};

// One kind of load on KMS and echoes in turns. Returns the KMS's median rate.
double compare(const Options& options, const std::string& name, const LoadPlan& plan,
               KmsUnderLoad& kms, Echoes& echoes, double expected_rate) {
  std::vector<double> against_crypto, against_empty;
  for (std::size_t i = 0; i < options.count(); ++i) {
    const auto calls = kms.calls(plan.exchange, expected_rate);
    const double crypto = echoes.crypto().measure(plan, calls);
    const double empty = echoes.empty().measure(plan, calls);
    const double own = kms.kms().measure(plan, calls);
    against_crypto.push_back(own / crypto);
    against_empty.push_back(own / empty);
  }
  const double rate = spread_of(kms.kms().rates).median;
  print_rates(
      name,
      {{"KMS", &kms.kms()}, {"crypto echo", &echoes.crypto()}, {"empty echo", &echoes.empty()}});
  const bool stream = plan.transport == Transport::stream;
  print_figure(name + (stream ? ".vs_crypto_stream" : ".vs_crypto_echo"),
               spread_of(against_crypto));
  print_figure(name + ".vs_echo", spread_of(against_empty));
  return rate;
}

void compare_stream_and_unary(const Options& options, const LoadPlan& stream, KmsUnderLoad& kms,
                              double rate) {
  LoadPlan unary = stream;
  unary.transport = Transport::unary;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < options.count(); ++i) {
    const double unary_rate = kms.kms().run(unary, kms.calls(stream.exchange, rate));
    ratios.push_back(kms.kms().run(stream, kms.calls(stream.exchange, rate)) / unary_rate);
  }
  print_figure("kms.stream.vs_unary", spread_of(ratios));
}

void print_fewer_outstanding(LoadPlan plan, KmsUnderLoad& kms, Echoes& echoes, double rate) {
  for (const std::size_t outstanding : {1U, 64U}) {
    plan.outstanding = outstanding;
    const auto calls = kms.calls(plan.exchange, rate);
    echoes.crypto().measure(plan, calls);
    echoes.empty().measure(plan, calls);
    kms.kms().measure(plan, calls);
    print_rates(
        "kms.request with " + std::to_string(outstanding) + " outstanding",
        {{"KMS", &kms.kms()}, {"crypto echo", &echoes.crypto()}, {"empty echo", &echoes.empty()}});
  }
}

void compare_latency(const Options& options, LoadPlan plan, KmsUnderLoad& kms, Echoes& echoes,
                     double peak) {
  constexpr double kMilli = 1e3;
  std::vector<double> own, echo, ratios;
  for (std::size_t i = 0; i < options.count(); ++i) {
    const auto calls = kms.calls(plan.exchange, peak);
    plan.repeat = true;
    echo.push_back(echoes.empty().load.p99(plan, calls, peak / 2));
    plan.repeat = false;
    own.push_back(kms.kms().load.p99(plan, calls, peak / 2));
    ratios.push_back(own.back() / echo.back());
  }
  std::printf("kms.p99: %.0f per second: KMS %.2f ms, empty echo %.2f ms\n", peak / 2,
              spread_of(own).median * kMilli, spread_of(echo).median * kMilli);
  print_figure("kms.p99.vs_echo", spread_of(ratios));
}

// A server of another kind: not in the same slice of time, but in turns with the KMS.
void compare_with_kerberos(const Options& options, const LoadPlan& plan, KmsUnderLoad& kms,
                           double rate) {
  Krb5Kdc kdc;
  std::vector<double> ratios, rates;
  for (std::size_t i = 0; i < options.count(); ++i) {
    double best = 0;
    for (const std::size_t clients : {2U, 4U, 8U})
      best = std::max(best, kdc.run(clients, options.length()));
    rates.push_back(best);
    ratios.push_back(kms.kms().run(plan, kms.calls(plan.exchange, rate)) / best);
  }
  std::printf("krb5kdc: %.0f TGS exchanges per second\n", spread_of(rates).median);
  print_figure("kms.request.vs_krb5kdc", spread_of(ratios));
}

void compare_sizes(const Options& options, const LoadPlan& plan) {
  KmsUnderLoad thousand(options, 1000);
  const double rate = thousand.warm_up();
  std::vector<double> starts;
  KmsHouse million(options.data, static_cast<std::size_t>(options.many_identities));
  for (std::size_t i = 0; i < options.count(); ++i) {
    starts.push_back(million.start());
    if (i + 1 < options.count()) million.stop();
  }
  Target target{TicketLoad(million.address(), million.tls("ca.pem")), million.server(), false};
  ask_once_each(million, target);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < options.count(); ++i) {
    const double few = thousand.kms().measure(plan, thousand.calls(plan.exchange, rate));
    const auto calls = million.requests(calls_for(rate, options.length()));
    ratios.push_back(target.measure(plan, calls) / few);
  }
  print_rates("kms.million", {{"a million", &target}, {"a thousand", &thousand.kms()}});
  print_figure("kms.million.vs_thousand", spread_of(ratios));
  print_figure("kms.million.start_s", spread_of(starts));
  constexpr double kMib = 1024;
  print_figure("kms.million.rss_anon_mib",
               static_cast<double>(million.server().status_kib("RssAnon")) / kMib);
}

int run(const Options& options) {
  const LoadPlan request{.length = options.length()};
  LoadPlan resolve = request;
  resolve.exchange = TicketExchange::resolve;
  LoadPlan stream = request;
  stream.transport = Transport::stream;
  const bool rates = options.wants_rate("request") || options.wants_rate("resolve") ||
                     options.wants_rate("stream");
  if (rates || options.wants("latency") || options.wants("krb5")) {
    KmsUnderLoad kms(options, static_cast<std::size_t>(options.identities));
    double rate = kms.warm_up();
    Echoes echoes(kms);
    if (options.wants_rate("request")) {
      rate = compare(options, "kms.request", request, kms, echoes, 2 * rate);
      print_fewer_outstanding(request, kms, echoes, rate);
    }
    if (options.wants_rate("resolve"))
      compare(options, "kms.resolve", resolve, kms, echoes, 2 * rate);
    if (options.wants_rate("stream")) {
      const double streamed = compare(options, "kms.stream", stream, kms, echoes, 2 * rate);
      compare_stream_and_unary(options, stream, kms, streamed);
    }
    if (options.wants("latency")) compare_latency(options, request, kms, echoes, rate);
    if (options.wants("krb5")) compare_with_kerberos(options, request, kms, rate);
  }
  if (options.wants("million")) compare_sizes(options, request);
  return 0;
}

}  // namespace
}  // namespace keystub::bench

int main(int argc, char** argv) {
  using namespace keystub;
  bench::Options options;
  options.data = bench::program("../bench-data").lexically_normal().string();
  service::CommandLine command_line("bench-kms", "Measures kms-server: docs/performance.md.");
  command_line.top()
      .option("--slices", options.slices, "how many of each")
      .option("--slice-ms", options.slice_ms, "how long each is, in milliseconds")
      .option("--identities", options.identities, "in the KMS that is compared")
      .option("--many-identities", options.many_identities, "in the KMS that has a million")
      .option("--data", options.data, "where the databases are kept for the next run")
      .option("--part", options.parts,
              "only this one: request, resolve, stream, rate (these three), latency, krb5, million")
      .action([&] { return bench::run(options); });
  return command_line.run(argc, argv);
}
