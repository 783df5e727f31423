// A KMS to measure: a data folder as `kms-server init` makes it, with so many identities, and the
// real kms-server on it; and the messages of its identities, built before the clock starts.
//
// The folder is kept for the next run. Configuration: as init writes it, but for rate limits that
// nobody here reaches and a replay window that keeps the full skew at 13,000 messages per second;
// audit (fsync "group"), skew and all else are the defaults.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "mikey/exchange.h"
#include "tests/bench/child_process.h"

namespace keystub::bench {

enum class TicketExchange { request, resolve };

// One message, good for one use, and, for 1 in 100, the test of its answer.
struct TicketCall {
  std::string message;
  std::function<bool(Bytes answer)> verify;
};

// Not thread-safe.
class KmsHouse {
 public:
  // Opens FOLDER/kms-N, or makes it. N identities: sip:u0000000@example.com and so on.
  KmsHouse(const std::filesystem::path& folder, std::size_t identities);

  // Starts kms-server with an empty replay window and audit; returns the seconds until it was
  // ready.
  double start();
  void stop() { server_.reset(); }
  ChildProcess& server() { return *server_; }
  const std::string& address() const { return address_; }
  std::filesystem::path tls(std::string_view file) const { return data_ / "tls" / file; }
  std::size_t identities() const { return identities_; }

  // REQUEST_INITs from identities drawn uniformly, each for another one.
  std::vector<TicketCall> requests(std::size_t count);
  // REQUEST_INITs from each identity in turn, from `first` on.
  std::vector<TicketCall> requests_of_each(std::size_t first, std::size_t count);
  // RESOLVE_INITs, each for one of the tickets whose request was verified.
  std::vector<TicketCall> resolves(std::size_t count);

  // REQUEST_INITs whose answers are tickets to resolve later: verify() keeps them.
  std::vector<TicketCall> requests_for_tickets(std::size_t count);

 private:
  struct Transfer {
    std::size_t responder;
    ByteVector message;  // TRANSFER_INIT
  };

  void make();
  void add_identities();
  mikey::KmsCredentials credentials(std::size_t number) const;
  TicketCall request(std::size_t initiator, bool verified, bool kept);

  const std::filesystem::path data_;
  const std::size_t identities_;
  SystemClock clock_;
  OpenSslRandom random_;
  mikey::Environment env_{clock_, random_};
  std::mt19937_64 draw_{43};
  std::vector<Transfer> transfers_;
  std::unique_ptr<ChildProcess> server_;
  std::string address_;
};

}  // namespace keystub::bench
