#include "kms-client/kmsctl/record_buffer.h"

#include <cstring>

namespace keystub::kmsctl {

Result<bool> RecordBuffer::grow() {
  if (ended_) return false;
  const MutableBytes memory = memory_.reveal_mutable();
  if (begin_ != 0) {
    std::memmove(memory.data(), memory.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == memory.size()) {
    return fail(Category::malformed, "the record does not end within " +
                                         std::to_string(kMaxRecord) +
                                         " octets: is there a quote too many?");
  }
  const std::size_t got = TRY(source_(memory.subspan(end_)));
  end_ += got;
  ended_ = got == 0;
  return !ended_;
}

}  // namespace keystub::kmsctl
