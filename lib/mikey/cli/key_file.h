// The keys that a user hands in to have a message verified and opened.
//
// A file with a line per key, "NAME VALUE"; a line that begins with "#" is a remark. Names: psk,
// envelope (keys shared with the KMS), mpk, mpki, mpkr, mpkr' (MIKEY protection keys), tpk (of the
// ticket), each in hex; and idri, idrr, idrkms: identities, as text, that the message leaves out.
#pragma once

#include <optional>
#include <string>

#include "mikey/keys.h"
#include "mikey/request_exchange.h"

namespace keystub::mikey::cli {

struct KeyRing {
  Psk psk;  // keys are empty where the file has none
  Psk envelope;
  Mpk mpk;
  Mpk mpki;
  Mpk mpkr;
  Mpk mpkr_forked;
  Tpk tpk;
  std::optional<std::string> idr_i;
  std::optional<std::string> idr_r;
  std::optional<std::string> idr_kms;
};

// Reads the file at `path`, "-" for standard input. A file that its group or others may read is
// refused (denied). Errors name the line, never its content.
Result<KeyRing> read_key_file(const std::string& path);

}  // namespace keystub::mikey::cli
