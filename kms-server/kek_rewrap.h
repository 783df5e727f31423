// Moving the keys of a store to another KEK while the KMS serves.
//
// The next KEK stands beside the current one (Kek::set_next). First every key is opened, so that
// nothing is begun that cannot be ended. Then the store writes down that keys are wrapped under
// both; from there on new keys are wrapped under the next KEK, and a KMS starts only with both.
// Keys are rewrapped in small transactions, each where its wrapped form is still what was read.
// When a whole pass finds no key under the current KEK, the next one takes its place, in the store
// and in the process.
//
// It can be cut short anywhere: a KMS that starts with both goes on when it is asked again, and
// one that starts when all is done takes either table of the configuration.
#pragma once

#include <chrono>
#include <cstdint>

#include "kms-server/identity_store.h"
#include "kms-server/kek.h"

namespace keystub::kms {

struct RewrapReport {
  std::uint64_t keys = 0;   // that there are
  std::uint64_t moved = 0;  // from the current KEK to the next one; in a dry run: to be moved
};

// What rewrap_keys() would do; writes nothing. Errors: conflict without a next KEK; internal, with
// the id of the key, when one opens under neither; and those of the store.
Result<RewrapReport> count_keys_to_rewrap(IdentityStore& store, const Kek& kek,
                                          std::chrono::milliseconds store_timeout);

// Blocks until it is done: minutes with millions of keys. Errors as above; what was moved stays
// moved. By one thread at a time.
Result<RewrapReport> rewrap_keys(IdentityStore& store, Kek& kek, RandomSource& random,
                                 std::chrono::milliseconds store_timeout);

// After a start: puts `kek` where the store says that a move stands. The KEK was verified when the
// store was opened.
Result<void> take_up_rewrap(IdentityStore& store, Kek& kek,
                            std::chrono::milliseconds store_timeout);

}  // namespace keystub::kms
