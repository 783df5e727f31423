// MediaConnection: the media stream of a user endpoint: TCP, TLS-PSK over it, MSRP inside.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "msrp/endpoint.h"
#include "tlspsk/engine.h"
#include "ue-agent/media_plan.h"
#include "ue-agent/media_socket.h"
#include "ue-agent/reporter.h"

namespace keystub::ue {

// What to do once the stream stands.
struct MediaScript {
  std::optional<std::string> send = {};  // one text/plain message
  std::int64_t send_after = 0;           // …when that many messages have been received
  std::int64_t expect = 0;               // messages to receive before the end
};

// Runs one stream from TCP to the orderly end of TLS. Not thread-safe; blocks in run().
class MediaConnection final : private msrp::Endpoint::Listener {
 public:
  struct Context {
    const Clock& clock;
    RandomSource& random;
    Reporter& reporter;
    SteadyTime deadline;  // of everything; the orderly end gets kClosingTime more
  };

  MediaConnection(Context context, std::shared_ptr<const tlspsk::Profile> profile, MediaPlan plan,
                  MediaScript script);

  // Success when the script was played to its end. `listener` is used where the plan is passive.
  // unauthenticated: TLS-PSK failed; unavailable: no connection, or it ended or the time was over
  // before the end of the script; denied: the peer refused a message.
  Result<void> run(const MediaListener& listener);

 private:
  using Verdict = msrp::Endpoint::Verdict;

  // msrp::Endpoint::Listener
  Verdict on_message(msrp::ReceivedMessage message) override;
  void on_send_result(const msrp::SendResult& result) override;

  Result<void> connect(const MediaListener& listener);
  Result<void> exchange();
  Result<void> take_input();
  Result<void> flush();
  Result<void> send_when_due();
  void report_session();
  void close_in_order();
  bool script_played() const noexcept;
  std::string what_is_missing() const;

  Context context_;
  std::shared_ptr<const tlspsk::Profile> profile_;
  MediaPlan plan_;
  MediaScript script_;

  FileDescriptor socket_;
  tlspsk::KeyRing keys_;
  std::unique_ptr<tlspsk::Engine> tls_;
  msrp::Endpoint msrp_;
  ByteVector outgoing_;  // encrypted, for the socket
  bool reported_ = false;
  bool bound_ = false;  // the first SEND is on its way
  bool sent_ = false;
  std::string sent_id_;
  std::optional<msrp::SendResult> send_result_;
  std::int64_t received_ = 0;
};

}  // namespace keystub::ue
