// What mrfcctl does: calls the session control interface and says what came of it, as a table for
// people or as JSON for programs. Returns texts; printing is main's.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"

namespace grpc {
class Channel;
}

namespace keystub::mrfc {

enum class OutputFormat : std::uint8_t { table, json };

struct OfferArguments {
  std::string peer;
  std::string served;
  std::string conference;
  std::string sdp_out;  // a file, "-", or empty: the SDP stands in the text
  std::string trace_id;
};
struct AcceptOfferArguments {
  std::string sdp;  // a file, or "-"
  std::string from;
  std::string asserted;
  std::string served;
  std::string conference;
  std::string sdp_out;
  std::string trace_id;
};
struct AcceptAnswerArguments {
  std::string session;
  std::string sdp;
  std::string dialog;
  std::string asserted;
  bool provisional = false;
  std::string trace_id;
};
struct WatchArguments {
  std::string session;    // empty: all
  std::int64_t from = 0;  // 0: from now on
  std::string until;      // a state, "established": ends when a medium reaches it
};

// What to print. With --sdp-out - the SDP alone is for standard output.
struct CtlText {
  std::string result;
  std::string sdp;
};

// Errors: as the MRFC refused, with what it would have SIP say; malformed and not_found for files;
// unavailable when the MRFC cannot be reached in time. One thread.
class MrfcCtlClient {
 public:
  MrfcCtlClient(const std::shared_ptr<grpc::Channel>& channel, OutputFormat format,
                std::chrono::milliseconds timeout);
  MrfcCtlClient(const MrfcCtlClient&) = delete;
  MrfcCtlClient& operator=(const MrfcCtlClient&) = delete;
  ~MrfcCtlClient();

  Result<CtlText> offer(const OfferArguments& arguments);
  Result<CtlText> accept_offer(const AcceptOfferArguments& arguments);
  Result<CtlText> accept_answer(const AcceptAnswerArguments& arguments);
  Result<CtlText> release(const std::string& session);
  Result<CtlText> list();
  // Calls print with each event's line. Ends with success when `until` is reached; with denied when
  // the session's medium failed, was released or rejected instead; with unavailable when the
  // timeout (0: none) is over or the MRFC stops.
  Result<void> watch(const WatchArguments& arguments,
                     const std::function<void(const std::string&)>& print);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::mrfc
