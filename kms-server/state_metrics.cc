#include "kms-server/state_metrics.h"

#include <iterator>
#include <system_error>
#include <utility>

namespace keystub::kms {
namespace {

constexpr std::chrono::seconds kStoreTimeout{1};

// The database with its write-ahead log; what is not there counts nothing.
double size_of(const std::filesystem::path& database) {
  double size = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto octets = std::filesystem::file_size(database.string() + suffix, error);
    if (!error) size += static_cast<double>(octets);
  }
  return size;
}

double open_descriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(all), end(all)));
}

}  // namespace

StateMetrics::StateMetrics(service::Metrics& metrics, Parts parts)
    : parts_(std::move(parts)),
      store_waiting_(metrics.gauge("store_waiting", "Calls that wait for the database.")),
      pk_waiting_(
          metrics.gauge("pk_waiting", "Messages with certificates that wait for a thread.")),
      cached_keys_(metrics.gauge("cached_keys", "Identities and TPKs kept ready in memory.")),
      packed_identities_(
          metrics.gauge("packed_identities", "Identities kept packed in memory behind them.")),
      limiter_slots_(metrics.gauge("limiter_slots_used", "Slots of the rate limiter in use.")),
      effective_skew_(metrics.gauge("replay_effective_skew_seconds",
                                    "The skew in force: smaller while the replay window is full.")),
      revoked_tickets_(metrics.gauge("revoked_tickets", "Tickets that are revoked one by one.")),
      revocation_log_(metrics.gauge("revocation_log",
                                    "Revoked identities and TPKs kept for "
                                    "subscribers that come back.")),
      subscribers_(metrics.gauge("revocation_subscribers", "Who watches the revocations.")),
      database_size_(metrics.gauge("database_bytes", "Size of the database with its log.")),
      streams_(metrics.gauge("open_streams", "Streams open on both ports.")),
      descriptors_(metrics.gauge("open_descriptors", "File descriptors of the process.")) {}

void StateMetrics::update(std::size_t open_streams) {
  store_waiting_.set(static_cast<double>(parts_.executor.waiting()));
  pk_waiting_.set(static_cast<double>(parts_.pk_executor.waiting()));
  cached_keys_.set(static_cast<double>(parts_.keys.cached()));
  packed_identities_.set(static_cast<double>(parts_.keys.packed()));
  limiter_slots_.set(static_cast<double>(parts_.limiter.used_slots()));
  effective_skew_.set(std::chrono::duration<double>(parts_.replay.effective_skew()).count());
  revoked_tickets_.set(static_cast<double>(parts_.revocations.tickets()));
  // A store in trouble is the health monitor's to tell.
  if (const auto page = parts_.store.revocations_since(0, 0, Deadline::in(kStoreTimeout))) {
    revocation_log_.set(static_cast<double>(page->log_size));
  }
  subscribers_.set(static_cast<double>(parts_.feed.subscribers()));
  database_size_.set(size_of(parts_.database));
  streams_.set(static_cast<double>(open_streams));
  descriptors_.set(open_descriptors());
}

}  // namespace keystub::kms
