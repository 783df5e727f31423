// Counts the calls of operator new on this thread, between construction and stop(). Link
// allocation_counter.cc into the test.
#pragma once

#include <cstddef>

namespace keystub::testing {

class AllocationCounter {
 public:
  AllocationCounter();
  std::size_t stop();
};

}  // namespace keystub::testing
