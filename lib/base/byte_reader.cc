#include "base/byte_reader.h"

namespace keystub {

void ByteReader::fail(const Fault& fault) noexcept {
  if (!failed()) fault_ = fault;
  at_ = end_;
}

std::unexpected<Error> ByteReader::error() const {
  std::string text;
  switch (fault_.kind) {
    case Fault::Kind::cut_short:
      text.append("cut short: ").append(fault_.text).append(" needs ");
      text.append(std::to_string(fault_.value)).append(" octets, ");
      text.append(std::to_string(fault_.remaining)).append(" are left");
      break;
    case Fault::Kind::unassigned:
      text.append(fault_.text).append(" ").append(std::to_string(fault_.value));
      text.append(" is unassigned, so the length of what follows is unknown");
      break;
    case Fault::Kind::refused:
    case Fault::Kind::none: text = fault_.text; break;
  }
  auto error = malformed_at(fault_.offset, std::move(text));
  if (fault_.mikey_error_no) error.error().set_mikey_error_no(*fault_.mikey_error_no);
  return error;
}

std::unexpected<Error> ByteReader::left_over() const {
  if (failed()) return error();
  return malformed(std::to_string(remaining()) + " octets are left over after the last field");
}

}  // namespace keystub
