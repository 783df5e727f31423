#include "mrfp-agent/message_relay.h"

#include <algorithm>

namespace keystub::mrfp {

namespace {

using msrp::Endpoint;
using Verdict = Endpoint::Verdict;

// Messages on their way to a leg and not yet answered: above the first the sender's reads pause,
// which leaves room for all that one read can still bring.
constexpr std::size_t kPauseAboveMessages = 512;
constexpr std::size_t kMaxQueuedMessages = 4 * kPauseAboveMessages;
// Messages of one leg that have begun and not ended.
constexpr std::size_t kMaxUnfinished = 16;
// Delivered messages whose success report may still come; the oldest are forgotten.
constexpr std::size_t kMaxAwaitingReports = 256;

std::uint16_t status_for(Category category) {
  switch (category) {
    case Category::busy: return msrp::kStopSending;
    case Category::unavailable: return msrp::kTimeout;
    default: return msrp::kBadRequest;
  }
}

}  // namespace

// One message on its way from one leg to another.
struct MessageRelay::Transfer {
  Leg* from = nullptr;  // null: gone, nobody wants to hear reports
  Leg* to = nullptr;    // null: failed, further chunks are refused
  msrp::Origin origin;
  std::string sent_id;
  std::uint64_t octets = 0;
  bool echo = false;
  bool complete = false;  // received to its end
  std::uint64_t last_chunk = 0;
};

struct MessageRelay::Leg final : Endpoint::Listener {
  Leg(MessageRelay& owner, RelayLeg& side) : relay(owner), leg(side) {}

  Verdict on_message(msrp::ReceivedMessage) override {
    return {msrp::kBadRequest, "messages are taken chunk by chunk"};
  }
  Verdict on_chunk_begin(const msrp::ReceivedChunk& chunk) override {
    return relay.begin_chunk(*this, chunk);
  }
  Verdict on_chunk_data(Bytes data) override { return relay.take_data(*this, data); }
  Verdict on_chunk_end(msrp::Flag flag) override { return relay.end_chunk(*this, flag); }
  void on_send_result(const msrp::SendResult& result) override {
    relay.on_send_result(*this, result);
  }
  void on_report(const msrp::DeliveryReport& report) override { relay.on_report(*this, report); }

  MessageRelay& relay;
  RelayLeg& leg;
  std::shared_ptr<Transfer> current;                           // whose chunk is being received
  std::map<std::string, std::shared_ptr<Transfer>> receiving;  // by Message-ID, not yet complete
  std::map<std::string, std::shared_ptr<Transfer>> sending;    // by Message-ID, not yet answered
  std::deque<std::shared_ptr<Transfer>> delivered;             // answered, a report may come
  bool held = false;                                           // may_read() said no last time
};

MessageRelay::MessageRelay(std::size_t high_water, service::Counter messages)
    : high_water_(high_water), messages_(messages) {}

MessageRelay::~MessageRelay() = default;

msrp::EndpointSettings MessageRelay::endpoint_settings(std::uint64_t max_message_octets) const {
  msrp::EndpointSettings settings;
  settings.delivery = msrp::Delivery::chunks;
  settings.automatic_success_reports = false;
  settings.max_message_octets = max_message_octets;
  settings.framing.max_body_octets = max_message_octets;
  // may_read() stops a sender at the high-water mark; what it has sent already must still fit.
  settings.max_queued_octets = 2 * high_water_;
  settings.max_queued_messages = kMaxQueuedMessages;
  settings.max_unfinished_messages = kMaxUnfinished;
  return settings;
}

void MessageRelay::add(RelayLeg& leg) { legs_.push_back(std::make_unique<Leg>(*this, leg)); }

void MessageRelay::remove(RelayLeg& leg) {
  reset(leg);
  std::erase_if(legs_, [&](const auto& state) { return &state->leg == &leg; });
  // Who had this leg as target has another one now, or none.
  for (const auto& state : legs_) state->leg.reading_may_change();
}

void MessageRelay::reset(RelayLeg& leg) {
  Leg& state = state_of(leg);
  for (const auto& [id, transfer] : std::exchange(state.receiving, {})) {
    transfer->from = nullptr;
    give_up(*transfer);
  }
  state.current.reset();
  for (const auto& [id, transfer] : std::exchange(state.sending, {})) {
    transfer->to = nullptr;
    report(*transfer, msrp::kNoSuchSession, "the other side has left");
  }
  state.delivered.clear();
  for (const auto& other : legs_) {
    for (const auto& [id, transfer] : other->sending) {
      if (transfer->from == &state) transfer->from = nullptr;
    }
    for (const auto& transfer : other->delivered) {
      if (transfer->from == &state) transfer->from = nullptr;
    }
  }
}

Endpoint::Listener& MessageRelay::listener(RelayLeg& leg) { return state_of(leg); }

bool MessageRelay::may_read(RelayLeg& leg) {
  Leg& from = state_of(leg);
  Leg& to = target_of(from);
  Endpoint* endpoint = to.leg.endpoint();
  if (endpoint == nullptr) return true;
  // has_room(2h - n): no more than n octets wait. Two marks, so that reading does not flutter.
  const std::size_t mark = from.held ? high_water_ / 2 : high_water_;
  const std::size_t messages = from.held ? kPauseAboveMessages / 2 : kPauseAboveMessages;
  const bool room = endpoint->has_room(2 * high_water_ - mark) && to.sending.size() <= messages;
  from.held = !room;
  return room;
}

void MessageRelay::drained(RelayLeg& leg) { notify_sources(state_of(leg)); }

MessageRelay::Leg& MessageRelay::state_of(RelayLeg& leg) {
  return **std::ranges::find_if(legs_, [&](const auto& state) { return &state->leg == &leg; });
}

// The other leg, or the same one where there is no other.
MessageRelay::Leg& MessageRelay::target_of(Leg& leg) {
  const auto other =
      std::ranges::find_if(legs_, [&](const auto& state) { return state.get() != &leg; });
  return other == legs_.end() ? leg : **other;
}

Verdict MessageRelay::begin_chunk(Leg& from, const msrp::ReceivedChunk& chunk) {
  const auto known = from.receiving.find(chunk.origin.message_id);
  if (known != from.receiving.end()) {
    from.current = known->second;
    if (from.current->to == nullptr) return refuse(from, msrp::kStopSending, "it cannot be sent");
    // Chunks go on as they come: an order that only a store could mend is not taken.
    if (chunk.offset != from.current->octets) {
      return refuse(from, msrp::kBadRequest, "the chunk is out of order");
    }
    return {};
  }
  from.current.reset();
  if (chunk.offset != 0) return {msrp::kBadRequest, "the message has no beginning"};

  Leg& to = target_of(from);
  Endpoint* endpoint = to.leg.endpoint();
  if (endpoint == nullptr || endpoint->remote().empty()) {
    return {msrp::kTimeout, "the other side is not there yet"};
  }
  // The endpoint has forgotten at least one of them: it takes no more than this many.
  if (from.receiving.size() >= kMaxUnfinished) forget_oldest(from);

  auto transfer = std::make_shared<Transfer>();
  transfer->from = &from;
  transfer->to = &to;
  transfer->origin = chunk.origin;
  transfer->echo = &to == &from;
  msrp::OutgoingMessage message;
  message.content_type = chunk.content_type;
  message.other_headers = chunk.other_headers;
  if (!transfer->echo) {
    message.message_id = chunk.origin.message_id;
    message.success_report = chunk.origin.success_report;
    message.failure_report = chunk.origin.failure_report;
  }
  auto begun = endpoint->begin(std::move(message), chunk.total);
  if (!begun) return {status_for(begun.error().category()), "the message cannot be handed on"};
  transfer->sent_id = std::move(*begun);
  from.receiving[transfer->origin.message_id] = transfer;
  to.sending[transfer->sent_id] = transfer;
  from.current = std::move(transfer);
  messages_.add();
  return {};
}

Verdict MessageRelay::take_data(Leg& from, Bytes data) {
  const std::shared_ptr<Transfer> transfer = from.current;
  if (transfer == nullptr) return {msrp::kBadRequest, "the message has no beginning"};
  if (transfer->to == nullptr) return refuse(from, msrp::kStopSending, "it cannot be sent");
  if (!transfer->to->leg.endpoint()->append(transfer->sent_id, data)) {
    return refuse(from, msrp::kStopSending, "the other side is too slow");
  }
  transfer->octets += data.size();
  transfer->last_chunk = ++chunks_;
  transfer->to->leg.output_ready();
  return {};
}

Verdict MessageRelay::end_chunk(Leg& from, msrp::Flag flag) {
  const std::shared_ptr<Transfer> transfer = from.current;
  if (transfer == nullptr) return {};
  if (transfer->to == nullptr) return refuse(from, msrp::kStopSending, "it cannot be sent");
  from.current.reset();
  if (flag == msrp::Flag::more) return {};
  from.receiving.erase(transfer->origin.message_id);
  if (flag == msrp::Flag::aborted) {
    give_up(*transfer);
    return {};
  }
  transfer->complete = true;
  (void)transfer->to->leg.endpoint()->finish(transfer->sent_id);
  transfer->to->leg.output_ready();
  // We are the one whom an echoed message was for.
  if (transfer->echo) report(*transfer, msrp::kOk, {});
  return {};
}

// The answer to the chunk at hand; the endpoint brings no more of this message.
Verdict MessageRelay::refuse(Leg& from, std::uint16_t status, std::string comment) {
  const std::shared_ptr<Transfer> transfer = std::exchange(from.current, nullptr);
  from.receiving.erase(transfer->origin.message_id);
  give_up(*transfer);
  return {status, std::move(comment)};
}

void MessageRelay::forget_oldest(Leg& from) {
  const auto oldest = std::ranges::min_element(
      from.receiving, {}, [](const auto& entry) { return entry.second->last_chunk; });
  const std::shared_ptr<Transfer> transfer = oldest->second;
  from.receiving.erase(oldest);
  give_up(*transfer);
}

void MessageRelay::on_send_result(Leg& to, const msrp::SendResult& result) {
  const auto found = to.sending.find(result.message_id);
  if (found == to.sending.end()) return;
  const std::shared_ptr<Transfer> transfer = found->second;
  to.sending.erase(found);
  if (result.ok()) {
    settle(to, transfer);
  } else {
    transfer->to = nullptr;
    if (!transfer->echo) report(*transfer, result.status, result.comment);
  }
  notify_sources(to);
}

void MessageRelay::on_report(Leg& to, const msrp::DeliveryReport& delivery) {
  std::shared_ptr<Transfer> transfer;
  const auto delivered = std::ranges::find_if(
      to.delivered, [&](const auto& entry) { return entry->sent_id == delivery.message_id; });
  if (delivered != to.delivered.end()) {
    transfer = *delivered;
  } else if (const auto sending = to.sending.find(delivery.message_id);
             sending != to.sending.end()) {
    transfer = sending->second;  // the report overtook the answer to the last chunk
  }
  if (transfer == nullptr || transfer->echo) return;
  // A success report may cover a part: the one that reaches the end stands for the whole.
  const bool success = delivery.status.code == msrp::kOk;
  const bool partial = delivery.byte_range && delivery.byte_range->end &&
                       *delivery.byte_range->end < transfer->octets;
  if (success && (partial || !transfer->complete)) return;
  report(*transfer, delivery.status.code, delivery.status.comment);
  transfer->from = nullptr;
  if (delivered != to.delivered.end()) to.delivered.erase(delivered);
}

void MessageRelay::report(Transfer& transfer, std::uint16_t status, const std::string& comment) {
  if (transfer.from == nullptr) return;
  Endpoint* endpoint = transfer.from->leg.endpoint();
  if (endpoint == nullptr) return;
  if (endpoint->report(transfer.origin, transfer.octets, status, comment)) {
    transfer.from->leg.output_ready();
  }
}

// The message will not be completed: the far side is told.
void MessageRelay::give_up(Transfer& transfer) {
  if (transfer.to == nullptr) return;
  Leg& to = *std::exchange(transfer.to, nullptr);
  to.sending.erase(transfer.sent_id);
  to.leg.endpoint()->cancel(transfer.sent_id);
  to.leg.output_ready();
  notify_sources(to);
}

void MessageRelay::settle(Leg& to, const std::shared_ptr<Transfer>& transfer) {
  const bool report_may_come = !transfer->echo && transfer->from != nullptr &&
                               (transfer->origin.success_report ||
                                transfer->origin.failure_report != msrp::FailureReport::no);
  if (!report_may_come) return;
  to.delivered.push_back(transfer);
  if (to.delivered.size() > kMaxAwaitingReports) to.delivered.pop_front();
}

void MessageRelay::notify_sources(Leg& to) {
  for (const auto& state : legs_) {
    if (&target_of(*state) == &to) state->leg.reading_may_change();
  }
}

}  // namespace keystub::mrfp
