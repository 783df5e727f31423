#include "kms-client/kmsctl/message_file.h"

#include <fstream>
#include <iostream>
#include <iterator>

#include "base/base64.h"

namespace keystub::kmsctl {

Result<std::string> read_file(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Category::not_found, file + " cannot be read");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<ByteVector> read_message(const std::string& file) {
  const auto read = read_file(file);
  if (!read) return std::unexpected(read.error());
  std::string content = *read;
  // A MIKEY message begins with version 1, which no text does.
  if (content.empty() || content.front() == 1) return to_vector(as_bytes(content));
  content.erase(content.find_last_not_of(" \t\r\n") + 1);
  const std::size_t space = content.find_last_of(" \t");
  return base64_decode(
      std::string_view(content).substr(space == std::string::npos ? 0 : space + 1));
}

}  // namespace keystub::kmsctl
