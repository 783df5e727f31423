#include "kms-server/revocation_book.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace keystub::kms {
namespace {

constexpr std::size_t kBookPage = 1000;

}  // namespace

// An id is a digest already.
std::size_t RevocationBook::IdHash::operator()(const mikey::TicketId& id) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, id.data(), sizeof(hash));
  return hash;
}

RevocationBook::RevocationBook(IdentityStore& store, const Clock& clock,
                               std::function<void()> heard)
    : store_(store), clock_(clock), heard_(std::move(heard)) {}

Result<std::unique_ptr<RevocationBook>> RevocationBook::open(IdentityStore& store,
                                                             const Clock& clock, Deadline deadline,
                                                             std::function<void()> heard) {
  std::unique_ptr<RevocationBook> book(new RevocationBook(store, clock, std::move(heard)));
  // First the listener: what comes while the store is read is entered twice, and nothing is missed.
  store.on_revocation([book = book.get()](const Revocation& revocation) {
    book->enter(revocation);
    if (book->heard_) book->heard_();
  });
  RevocationPage page;
  std::uint64_t last = 0;
  do {
    page = TRY(store.revocations_since(last, kBookPage, deadline));
    for (const Revocation& revocation : page.revocations) {
      book->enter(revocation);
      last = revocation.sequence;
    }
  } while (page.more);
  return book;
}

RevocationBook::~RevocationBook() { store_.on_revocation(nullptr); }

void RevocationBook::enter(const Revocation& revocation) {
  if (revocation.kind == RevocationKind::tickets_before) {
    // Pages and the listener may come in any order; it never goes back.
    WallTime before = before_.load();
    while (before < *revocation.limit &&
           !before_.compare_exchange_weak(before, *revocation.limit)) {
    }
    return;
  }
  if (revocation.kind != RevocationKind::ticket) return;
  mikey::TicketId id{};
  std::copy_n(revocation.subject.begin(), std::min(revocation.subject.size(), id.size()),
              id.begin());
  const std::unique_lock lock(mutex_);
  drop_expired();
  if (tickets_.insert(id).second) by_limit_.emplace(*revocation.limit, id);
}

void RevocationBook::drop_expired() const {
  const WallTime now = clock_.now();
  while (!by_limit_.empty() && by_limit_.begin()->first < now) {
    tickets_.erase(by_limit_.begin()->second);
    by_limit_.erase(by_limit_.begin());
  }
}

std::optional<std::string_view> RevocationBook::find(const mikey::TicketId& id, WallTime issued_at,
                                                     bool from_kms) const {
  if (from_kms && issued_at < before_.load(std::memory_order_acquire)) return "epoch";
  const std::shared_lock lock(mutex_);
  return tickets_.contains(id) ? std::optional<std::string_view>("revoked") : std::nullopt;
}

std::size_t RevocationBook::tickets() const {
  const std::unique_lock lock(mutex_);
  drop_expired();
  return tickets_.size();
}

}  // namespace keystub::kms
