// Endpoint: the protocol state of one end of one MSRP session (RFC 4975 sections 5.3, 7 and 10).
//
// No socket and no timer of its own: the caller feeds what the connection delivered (receive),
// takes what is to be written (write), and calls on_time when next_deadline has come. Up go
// messages and results to the Listener. One connection carries one session.
//
//   transport readable  -> endpoint.receive(bytes); a fault: write what is left, then close
//   transport writable  -> while (endpoint.has_output()) endpoint.write(buffer, 16 KiB)
//   reads are paused while endpoint.wants_pause() (the peer asks faster than it reads answers)
//
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "msrp/framer.h"
#include "msrp/message.h"
#include "msrp/uri.h"

namespace keystub::msrp {

// A sender must not write larger chunks unless it is prepared to interrupt them (RFC 4975 7.1.1).
inline constexpr std::size_t kInterruptibleFrom = 2048;

enum class Delivery : std::uint8_t {
  whole,   // Listener::on_message, reassembled in memory, at most max_message_octets each
  chunks,  // Listener::on_chunk_*, piece by piece as it arrives: nothing is stored
};

struct EndpointSettings {
  FramerLimits framing;
  Delivery delivery = Delivery::whole;

  // Receiving. A message beyond these is answered 413.
  std::uint64_t max_message_octets = 1 << 20;
  std::size_t max_unfinished_messages = 16;       // whose first chunks have arrived
  std::uint64_t max_unfinished_octets = 4 << 20;  // all of them together (whole only)
  std::chrono::seconds unfinished_timeout{120};   // without a further chunk: dropped
  // Media types taken, else 415: "text/plain", "image/*", "*". Parameters are not compared.
  std::vector<std::string> accept_types = {"*"};
  // Success reports go out by themselves when a message is complete; off for a gateway that
  // reports (Endpoint::report) once its far side has confirmed.
  bool automatic_success_reports = true;

  // Sending.
  std::chrono::seconds response_timeout{30};  // RFC 4975 7.1.1
  std::size_t max_chunk_octets = 16 * 1024;   // chunks above 2048 octets are interruptible
  std::size_t max_open_transactions = 256;    // sent and unanswered: then SENDs wait
  std::size_t max_queued_octets = 4 << 20;    // bodies waiting to be written: then busy
  std::size_t max_queued_messages = 1024;     // messages waiting to be written: then busy

  // Answers and reports waiting to be written: above it wants_pause().
  std::size_t pause_above_octets = 64 * 1024;
};

// Where a received message came from and what its sender wants to hear about it.
struct Origin {
  std::string message_id;
  Path from_path;
  bool success_report = false;
  FailureReport failure_report = FailureReport::yes;
};

struct ReceivedMessage {
  Origin origin;
  std::string content_type;
  std::vector<Header> other_headers;
  ByteVector body;
};

// The head of a chunk, for Delivery::chunks.
struct ReceivedChunk {
  Origin origin;
  std::string content_type;
  std::vector<Header> other_headers;
  std::uint64_t offset = 0;            // of its first octet in the message, from 0
  std::optional<std::uint64_t> total;  // octets of the whole message, where the sender says it
};

struct OutgoingMessage {
  std::string message_id;  // empty: a new one is made
  // Empty: a SEND without a body, as the active side sends first to bind the connection.
  std::string content_type;
  std::vector<Header> other_headers;
  bool success_report = false;
  FailureReport failure_report = FailureReport::yes;
};

// What became of a message that was sent, or of a part of it.
struct SendResult {
  std::string message_id;
  std::uint16_t status = 0;  // a response code; kTimeout also for an answer that never came
  std::string comment;
  bool ok() const noexcept { return status == kOk; }
};

struct DeliveryReport {
  std::string message_id;
  std::optional<ByteRange> byte_range;
  Status status;
};

struct EndpointCounters {
  std::uint64_t messages_received = 0;  // complete ones
  std::uint64_t messages_refused = 0;   // answered, or not answered, with an error
  std::uint64_t messages_dropped = 0;   // unfinished when their time was up or given up by the peer
  std::uint64_t body_octets_received = 0;
  std::uint64_t body_octets_sent = 0;
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_failed = 0;
  std::uint64_t reports_received = 0;
};

class Endpoint {
 public:
  // What to answer to the peer: 200, or the code of a refusal.
  struct Verdict {
    std::uint16_t status = kOk;
    std::string comment;
  };

  // Called from within receive(), write() and on_time() only. Inside a callback every method of
  // the endpoint may be called except these three; it must not be destroyed, but may be close()d.
  // After close() nothing is called any more.
  class Listener {
   public:
    virtual ~Listener() = default;

    // Delivery::whole: a complete message. A verdict other than 200 becomes the answer to its
    // last chunk. SENDs without a body are answered and not delivered.
    virtual Verdict on_message(ReceivedMessage message) = 0;

    // Delivery::chunks: one begin, any number of data, one end per chunk; chunks are never
    // interleaved and come in the order of the wire, `offset` may leave gaps or go back. A verdict
    // other than 200 is the answer, ends the chunk without on_chunk_end, and keeps further chunks
    // of this message away. Flag::aborted: the peer, or a limit here, gave the message up.
    virtual Verdict on_chunk_begin(const ReceivedChunk&) { return {}; }
    virtual Verdict on_chunk_data(Bytes) { return {}; }
    virtual Verdict on_chunk_end(Flag) { return {}; }

    // Once per message that was sent: 200 when every chunk was answered 200 (Failure-Report: yes)
    // or was written (no, partial), else the first failure; the rest of the message is then not
    // sent. After "written" a failure may still follow for partial.
    virtual void on_send_result(const SendResult& result) = 0;

    // For the log: a request was refused with `status`; `why` names the fault and is not told to
    // the peer.
    virtual void on_refusal(std::uint16_t, std::string_view) {}

    // A REPORT about a message that was sent, success or failure. A failure arrives as
    // on_send_result as well, if that has not been called; the session counts as failed then
    // (RFC 4975 7.3.2).
    virtual void on_report(const DeliveryReport&) {}
  };

  // `local` names this session; requests for any other get 481. `remote` is the peer's path from
  // its SDP; while it is empty nothing can be sent and any From-Path is taken.
  // `clock`, `random` and `listener` must outlive the endpoint.
  Endpoint(Uri local, Path remote, EndpointSettings settings, const Clock& clock,
           RandomSource& random, Listener& listener);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const Uri& local() const noexcept { return local_; }
  const Path& remote() const noexcept { return remote_; }
  void set_remote(Path remote) { remote_ = std::move(remote); }

  // Takes what the connection delivered, of any size and cut anywhere. A fault means: close the
  // connection (what has_output() may still be written first). Fails with conflict when it was
  // closed before.
  Result<void> receive(Bytes data);

  // Queues a message whose body is all there. Returns its Message-ID. Fails with busy when the
  // queue is full (nothing was queued), with conflict when closed, without a remote path, or when
  // the Message-ID is already being sent; malformed when a value does not fit on a header line.
  Result<std::string> send(OutgoingMessage message, ByteVector body);

  // The same for a body that comes in pieces: begin, any number of append, then finish or cancel.
  // `total` in octets, if known. append fails with not_found when the message is no longer being
  // sent (it failed: see on_send_result), with busy when the queue is full: nothing was taken
  // then, try again when has_room().
  Result<std::string> begin(OutgoingMessage message, std::optional<std::uint64_t> total);
  Result<void> append(std::string_view message_id, Bytes piece);
  Result<void> finish(std::string_view message_id);

  // Gives a message up: the peer is told with "#" if some of it has been written. Messages that
  // are unknown or completely written are left alone. on_send_result is not called.
  void cancel(std::string_view message_id);

  // Tells the sender of a received message what became of it, after the fact. Obeys what the
  // sender asked for: returns without a trace where it wants no such report (RFC 4975 7.1.3,
  // 7.1.4). `octets` is the length of the message as received.
  Result<void> report(const Origin& origin, std::uint64_t octets, std::uint16_t status,
                      std::string_view comment);

  bool has_output() const noexcept;
  // Appends at least `wanted` octets to `out`, or as much as there is. Answers and reports go
  // first; large chunks are interrupted for them and, in turn, for other messages.
  // Fails (internal) only if the random source does.
  Result<void> write(ByteVector& out, std::size_t wanted);

  // When on_time() must be called next; nothing to wait for: no value.
  std::optional<SteadyTime> next_deadline() const;
  // Fails SENDs that were not answered in time and drops messages that never became complete.
  void on_time();

  // Whether an end of the connection now would cut a frame in two.
  bool inside_frame() const noexcept { return !framer_.between_frames(); }

  bool wants_pause() const noexcept { return control_.size() > settings_.pause_above_octets; }
  // Whether append() of `octets` would be taken.
  bool has_room(std::size_t octets = 1) const noexcept {
    return octets <= settings_.max_queued_octets - queued_octets_;
  }

  // Forgets everything; no further callback, nothing more to write.
  void close();
  bool closed() const noexcept { return closed_; }

  const EndpointCounters& counters() const noexcept { return counters_; }

 private:
  struct Outgoing;
  struct Assembly;
  struct Incoming;
  struct Transaction {
    std::string message_id;
    FailureReport failure_report = FailureReport::yes;
    std::optional<SteadyTime> deadline;         // set when its last octet is written
    std::list<std::string>::iterator position;  // in transaction_order_
  };

  // Receiving: one frame at a time.
  Result<void> on_head(const RawHead& raw);
  void on_body(Bytes piece);
  void on_end(Flag flag);
  void judge_send(const RawHead& raw);
  void refuse(std::uint16_t status, const std::string& why, std::string comment = {});
  void answer(std::uint16_t status, std::string_view comment);
  void finish_chunk(Flag flag);
  void complete_message(Assembly& assembly);
  void drop_assembly(const std::string& message_id);
  void queue_report(const Origin& origin, std::uint64_t octets, const Status& status);
  bool accepts(std::string_view content_type) const;

  // Sending.
  Result<Outgoing*> enqueue(OutgoingMessage message);
  void on_response(const Head& head);
  void on_report_request(const Head& head);
  void fail_message(const std::string& message_id, std::uint16_t status, std::string_view comment);
  void settle(const std::string& message_id);
  void forget(const std::string& message_id);
  void release_queue(Outgoing& message);
  void drop_transaction(const std::string& transaction_id);
  bool ready(const Outgoing& message) const noexcept;
  Outgoing* pick_next(const Outgoing* except = nullptr) const noexcept;
  Result<void> start_chunk(Outgoing& message, ByteVector& out);
  void end_chunk(ByteVector& out, bool interrupted);

  const Uri local_;
  Path remote_;
  const EndpointSettings settings_;
  const Clock& clock_;
  RandomSource& random_;
  Listener& listener_;
  bool closed_ = false;
  EndpointCounters counters_;

  Framer framer_;
  std::unique_ptr<Incoming> incoming_;  // the request that is being received
  std::unordered_map<std::string, std::unique_ptr<Assembly>> assemblies_;  // by Message-ID
  std::uint64_t assembly_octets_ = 0;
  std::deque<std::string> refused_ids_;  // messages whose further chunks are refused unread

  ByteVector control_;  // responses and REPORTs, ready to be written
  std::unordered_map<std::string, std::unique_ptr<Outgoing>> outgoing_;  // by Message-ID
  std::list<Outgoing*> turn_;    // those with something left to write, next one first
  Outgoing* writing_ = nullptr;  // whose chunk is open on the wire
  std::size_t queued_octets_ = 0;
  std::unordered_map<std::string, Transaction> transactions_;  // by transaction id
  std::list<std::string> transaction_order_;                   // their ids by deadline
  std::size_t window_used_ = 0;       // transactions that a 200 is awaited for
  std::deque<std::string> sent_ids_;  // messages that a REPORT may still come for
};

}  // namespace keystub::msrp
