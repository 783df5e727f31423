// What the three exchanges share: the sender's clock and randomness, credentials, results.
//
// Each exchange is a chain of small classes; the methods of one hand out the next, so that no step
// can be left out. They hold no sockets and no threads: octets in, octets out. Not thread-safe;
// different exchanges are independent.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "base/random.h"
#include "mikey/message.h"
#include "mikey/suite.h"
#include "mikey/ticket.h"
#include "mikey/timestamp_source.h"

namespace keystub::mikey {

// Handed in by the caller; all of it must outlive the exchange.
struct Environment {
  const Clock& clock;
  RandomSource& random;
  // Where T comes from; null: the clock, as NTP-UTC.
  TimestampSource* timestamps = nullptr;
  // With the 128-bit suite: KEMACs that we build use AES-KW-128 instead of AES-CM-128. Both are
  // read in any case.
  bool wrap_keys = false;
};

// How an initiator or a responder is known to its KMS by pre-shared key.
struct KmsCredentials {
  Identity self;       // the identity that requests or resolves
  Identity kms;        // IDRkms
  std::string psk_id;  // IDRpsk; empty: left out
  Psk psk;             // 16 octets or more
};

// What protects both messages of a Ticket Request or Ticket Resolve: the pre-shared key, or the
// envelope key of a public-key variant (RFC 6043 5.1.2).
using ExchangeKey = Secret<struct ExchangeKeyTag>;

// Whether something that goes once is gone. Moves with what it belongs to. Thread-safe.
class UseMark {
 public:
  UseMark() = default;
  UseMark(UseMark&& other) noexcept : used_(other.used_.load()) {}
  UseMark& operator=(UseMark&& other) noexcept {
    used_ = other.used_.load();
    return *this;
  }
  // True for the first caller alone.
  bool take() noexcept { return !used_.exchange(true); }

 private:
  std::atomic<bool> used_ = false;
};

// A ticket that its initiator may use: granted by the KMS (mode 1) or issued by itself (mode 3).
struct GrantedTicket {
  ByteVector body;  // from Ticket Type to the end of Ticket Data
  TicketPolicy policy;
  Mpk mpki;
  Mpk mpkr;  // empty without key forking
  ByteVector mpk_spi;
  std::vector<SessionKey> session_keys;

  // Set by the first offer that is made with it.
  mutable UseMark used = {};

  const Suite& suite() const noexcept { return suite_of(policy.prf); }
};

}  // namespace keystub::mikey
