#include "msrp/endpoint.h"

#include <algorithm>
#include <cstring>

#include "msrp/text.h"

namespace keystub::msrp {
namespace {

// How many octets of one message go out before another message gets its turn.
constexpr std::size_t kFairShareOctets = 16 * 1024;
// Gaps in one message: more of them and the peer plays with us.
constexpr std::size_t kMaxRanges = 64;
// How many Message-IDs are remembered after the fact.
constexpr std::size_t kRememberedIds = 1024;
constexpr std::size_t kRememberedRefusals = 64;

void remember(std::deque<std::string>& ids, const std::string& id, std::size_t limit) {
  if (ids.size() == limit) ids.pop_front();
  ids.push_back(id);
}

bool contains(const std::deque<std::string>& ids, const std::string& id) {
  return std::ranges::find(ids, id) != ids.end();
}

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  return content_type.substr(0, content_type.find_last_not_of(" \t") + 1);
}

}  // namespace

// A message that is being received: its octets (Delivery::whole) and which of them are there.
struct Endpoint::Assembly {
  Origin origin;
  std::string content_type;
  std::vector<Header> other_headers;
  ByteVector body;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // [from, to), sorted, apart
  std::optional<std::uint64_t> total;                           // known from the "$" chunk
  SteadyTime last_chunk;

  // False when there are too many gaps.
  bool add(std::uint64_t from, std::uint64_t to) {
    if (from == to) return true;
    const auto first = std::ranges::lower_bound(ranges, from, {}, [](auto& r) { return r.second; });
    auto last = first;
    while (last != ranges.end() && last->first <= to) {
      from = std::min(from, last->first);
      to = std::max(to, last->second);
      ++last;
    }
    ranges.insert(ranges.erase(first, last), {from, to});
    return ranges.size() <= kMaxRanges;
  }
  bool beyond_total() const { return total && !ranges.empty() && ranges.back().second > *total; }
  bool complete() const {
    if (!total) return false;
    if (*total == 0) return true;
    return ranges.size() == 1 && ranges[0].first == 0 && ranges[0].second == *total;
  }
};

struct Endpoint::Incoming {
  Head head;
  bool response = false;
  bool refused = false;
  bool answered = false;
  std::uint16_t status = kOk;
  std::string comment;
  Assembly* assembly = nullptr;  // where the content goes; none for a SEND without a body
  std::uint64_t start = 0;       // of the chunk in its message, from 0
  std::uint64_t octets = 0;      // of the chunk so far
};

struct Endpoint::Outgoing {
  OutgoingMessage message;
  ByteVector buffer;  // body not yet written from `consumed` on
  std::size_t consumed = 0;
  std::uint64_t sent = 0;  // octets of the message that were written
  std::optional<std::uint64_t> total;
  bool finished = false;       // nothing will be appended
  bool given_up = false;       // ends with "#"
  bool last_written = false;   // the "$" or "#" is on the wire
  std::size_t unanswered = 0;  // transactions that a 200 is awaited for

  // The open chunk.
  std::string transaction_id;
  std::size_t chunk_left = 0;
  std::size_t chunk_written = 0;
  bool interruptible = false;
  bool last_chunk = false;

  std::size_t pending() const { return buffer.size() - consumed; }
};

Endpoint::Endpoint(Uri local, Path remote, EndpointSettings settings, const Clock& clock,
                   RandomSource& random, Listener& listener)
    : local_(std::move(local)),
      remote_(std::move(remote)),
      settings_(std::move(settings)),
      clock_(clock),
      random_(random),
      listener_(listener),
      framer_(settings_.framing) {}

Endpoint::~Endpoint() = default;

void Endpoint::close() {
  closed_ = true;
  incoming_.reset();
  assemblies_.clear();
  assembly_octets_ = 0;
  control_.clear();
  turn_.clear();
  writing_ = nullptr;
  outgoing_.clear();
  queued_octets_ = 0;
  transactions_.clear();
  transaction_order_.clear();
  window_used_ = 0;
}

// --- Receiving ---------------------------------------------------------------------------------

Result<void> Endpoint::receive(Bytes data) {
  if (closed_) return fail(Category::conflict, "the MSRP session is closed: drop what arrives");
  while (!closed_) {
    const auto event = TRY(framer_.next(data));
    if (!event) return {};
    if (const auto* head = std::get_if<HeadEvent>(&*event)) {
      TRY(on_head(head->raw));
    } else if (const auto* body = std::get_if<BodyEvent>(&*event)) {
      on_body(body->piece);
    } else {
      on_end(std::get<EndEvent>(*event).flag);
    }
  }
  return {};
}

Result<void> Endpoint::on_head(const RawHead& raw) {
  incoming_ = std::make_unique<Incoming>();
  Head& head = incoming_->head;
  auto parsed = parse_head(raw, head);
  if (head.is_response()) {
    // The transaction id and the code stand in the start line: faulty headers change nothing.
    incoming_->response = true;
    return {};
  }
  if (head.method != kReport && head.from_path.empty()) {
    return std::unexpected(std::move(parsed).error());  // nobody that an answer could go to
  }
  // RFC 4975 7.3: the session comes first, whatever else is wrong.
  if (!head.to_path.empty() && (head.to_path.size() != 1 || !equivalent(head.to_path[0], local_))) {
    refuse(kNoSuchSession, "To-Path does not name this session");
  } else if (!parsed) {
    refuse(kBadRequest, parsed.error().describe());
  } else if (!remote_.empty() && !equivalent(head.from_path.back(), remote_.back())) {
    refuse(kNoSuchSession, "From-Path is not the path that the peer announced");
  } else if (head.method == kSend) {
    judge_send(raw);
  } else if (head.method != kReport) {
    refuse(kUnknownMethod, "unknown method " + head.method);
  }
  return {};
}

bool Endpoint::accepts(std::string_view content_type) const {
  const std::string_view type = media_type(content_type);
  return std::ranges::any_of(settings_.accept_types, [&](std::string_view accepted) {
    if (accepted == "*" || equal_ignoring_case(accepted, type)) return true;
    return accepted.ends_with("/*") && equal_ignoring_case(accepted.substr(0, accepted.size() - 1),
                                                           type.substr(0, accepted.size() - 1));
  });
}

void Endpoint::judge_send(const RawHead& raw) {
  Incoming& in = *incoming_;
  Head& head = in.head;
  if (!head.message_id) return refuse(kBadRequest, "a SEND needs a Message-ID");
  if (contains(refused_ids_, *head.message_id)) {
    return refuse(kStopSending, "a further chunk of a message that was refused");
  }
  // A SEND without a body binds or keeps the connection, unless it closes an open message.
  auto found = assemblies_.find(*head.message_id);
  if (!raw.has_body && found == assemblies_.end()) return;

  in.start = head.byte_range ? head.byte_range->start - 1 : 0;
  const std::uint64_t announced = head.byte_range ? head.byte_range->total.value_or(0) : 0;
  if (in.start > settings_.max_message_octets || announced > settings_.max_message_octets) {
    return refuse(kStopSending, "the message is larger than the limit of " +
                                    std::to_string(settings_.max_message_octets) + " octets");
  }
  if (raw.has_body && !accepts(*head.content_type)) {
    return refuse(kUnsupportedMediaType, "the media type is not taken: " + *head.content_type);
  }
  if (found == assemblies_.end()) {
    if (assemblies_.size() >= settings_.max_unfinished_messages) {
      return refuse(kStopSending, "too many messages have been begun and not finished");
    }
    auto fresh = std::make_unique<Assembly>();
    fresh->content_type = *head.content_type;
    fresh->other_headers = head.other_headers;
    found = assemblies_.emplace(*head.message_id, std::move(fresh)).first;
  }
  in.assembly = found->second.get();
  in.assembly->last_chunk = clock_.steady_now();
  in.assembly->origin = {*head.message_id, head.from_path, head.success_report,
                         head.failure_report};
  if (settings_.delivery == Delivery::whole) return;

  const ReceivedChunk chunk{in.assembly->origin, in.assembly->content_type, head.other_headers,
                            in.start, head.byte_range ? head.byte_range->total : std::nullopt};
  Verdict verdict = listener_.on_chunk_begin(chunk);
  if (!closed_ && verdict.status != kOk) {
    refuse(verdict.status, "refused by the application", std::move(verdict.comment));
  }
}

// Decides on an error for the request at hand. 413 goes out at once, so that the sender stops in
// the middle of a large chunk; the others when the request has ended.
void Endpoint::refuse(std::uint16_t status, const std::string& why, std::string comment) {
  Incoming& in = *incoming_;
  in.refused = true;
  in.status = status;
  in.comment = std::move(comment);
  ++counters_.messages_refused;
  if (in.assembly != nullptr || status == kStopSending || status == kUnsupportedMediaType) {
    const std::string& id = *in.head.message_id;
    if (!contains(refused_ids_, id)) remember(refused_ids_, id, kRememberedRefusals);
    in.assembly = nullptr;
    drop_assembly(id);
  }
  if (status == kStopSending) answer(in.status, in.comment);
  listener_.on_refusal(status, why);
}

// RFC 4975 7.1.4 and 7.2: who gets a response, and to what.
void Endpoint::answer(std::uint16_t status, std::string_view comment) {
  Incoming& in = *incoming_;
  if (std::exchange(in.answered, true) || in.head.method == kReport) return;
  if (in.head.failure_report == FailureReport::no) return;
  if (in.head.failure_report == FailureReport::partial && status == kOk) return;
  if (comment.empty() || !is_header_text(comment)) comment = reason_phrase(status);
  write_response(in.head, status, comment, local_, control_);
}

void Endpoint::on_body(Bytes piece) {
  Incoming& in = *incoming_;
  if (in.refused || in.assembly == nullptr) return;
  counters_.body_octets_received += piece.size();
  const std::uint64_t from = in.start + in.octets;
  if (piece.size() > settings_.max_message_octets - from) {
    if (settings_.delivery == Delivery::chunks) {
      static_cast<void>(listener_.on_chunk_end(Flag::aborted));
      if (closed_) return;
    }
    return refuse(kStopSending, "the message grew beyond the limit of " +
                                    std::to_string(settings_.max_message_octets) + " octets");
  }
  if (settings_.delivery == Delivery::chunks) {
    in.octets += piece.size();
    Verdict verdict = listener_.on_chunk_data(piece);
    if (!closed_ && verdict.status != kOk) {
      refuse(verdict.status, "refused by the application", std::move(verdict.comment));
    }
    return;
  }
  ByteVector& body = in.assembly->body;
  const std::uint64_t to = from + piece.size();
  if (to > body.size()) {
    const std::uint64_t growth = to - body.size();
    if (growth > settings_.max_unfinished_octets - assembly_octets_) {
      return refuse(kStopSending, "the unfinished messages together are larger than the limit");
    }
    assembly_octets_ += growth;
    body.resize(to);
  }
  std::memcpy(body.data() + from, piece.data(), piece.size());
  in.octets += piece.size();
}

void Endpoint::on_end(Flag flag) {
  Incoming& in = *incoming_;
  if (in.response) {
    const auto done = std::move(incoming_);
    return on_response(done->head);
  }
  if (in.head.method == kReport) {
    const auto done = std::move(incoming_);
    if (!done->refused) on_report_request(done->head);
    return;
  }
  if (in.refused) {
    answer(in.status, in.comment);
  } else if (in.assembly != nullptr) {
    finish_chunk(flag);
    if (closed_) return;
  } else {
    answer(kOk, {});
    if (settings_.automatic_success_reports && in.head.success_report) {
      queue_report({*in.head.message_id, in.head.from_path, true, in.head.failure_report}, 0,
                   {0, kOk, "OK"});
    }
  }
  incoming_.reset();
}

void Endpoint::finish_chunk(Flag flag) {
  Incoming& in = *incoming_;
  Assembly& assembly = *in.assembly;
  if (settings_.delivery == Delivery::chunks) {
    Verdict verdict = listener_.on_chunk_end(flag);
    if (closed_) return;
    if (verdict.status != kOk) {
      refuse(verdict.status, "refused by the application", std::move(verdict.comment));
      if (!closed_) answer(verdict.status, in.comment);
      return;
    }
  }
  if (flag == Flag::aborted) {
    ++counters_.messages_dropped;
    drop_assembly(*in.head.message_id);
    return answer(kOk, {});
  }
  assembly.last_chunk = clock_.steady_now();
  const std::uint64_t end = in.start + in.octets;
  const bool few_gaps = assembly.add(in.start, end);
  if (flag == Flag::complete) assembly.total = end;
  if (!few_gaps || assembly.beyond_total()) {
    refuse(kBadRequest, few_gaps ? "chunks reach beyond the end of their message"
                                 : "the chunks of a message leave too many gaps");
    if (!closed_) answer(kBadRequest, {});
    return;
  }
  if (assembly.complete()) return complete_message(assembly);
  answer(kOk, {});
}

void Endpoint::complete_message(Assembly& assembly) {
  Incoming& in = *incoming_;
  const Origin origin = assembly.origin;
  const std::uint64_t octets = *assembly.total;
  ReceivedMessage message{
      origin, std::move(assembly.content_type), std::move(assembly.other_headers), {}};
  if (settings_.delivery == Delivery::whole) {
    assembly_octets_ -= assembly.body.size();
    message.body = std::move(assembly.body);
    message.body.resize(octets);
    assembly.body.clear();
  }
  in.assembly = nullptr;
  assemblies_.erase(origin.message_id);
  if (settings_.delivery == Delivery::whole) {
    Verdict verdict = listener_.on_message(std::move(message));
    if (closed_) return;
    if (verdict.status != kOk) {
      refuse(verdict.status, "refused by the application", std::move(verdict.comment));
      if (!closed_) answer(verdict.status, in.comment);
      return;
    }
  }
  ++counters_.messages_received;
  answer(kOk, {});
  if (settings_.automatic_success_reports && origin.success_report) {
    queue_report(origin, octets, {0, kOk, "OK"});
  }
}

void Endpoint::drop_assembly(const std::string& message_id) {
  const auto found = assemblies_.find(message_id);
  if (found == assemblies_.end()) return;
  assembly_octets_ -= found->second->body.size();
  assemblies_.erase(found);
}

void Endpoint::queue_report(const Origin& origin, std::uint64_t octets, const Status& status) {
  // Reports are a courtesy: without randomness for the transaction id none goes out.
  const auto transaction_id = make_transaction_id(random_);
  if (!transaction_id) return;
  Head head;
  head.transaction_id = *transaction_id;
  head.method = kReport;
  head.to_path = origin.from_path;
  head.from_path = {local_};
  head.message_id = origin.message_id;
  head.byte_range = ByteRange{1, octets, octets};
  head.status = status;
  write_head(head, control_);
  write_end_line(head.transaction_id, Flag::complete, control_);
}

Result<void> Endpoint::report(const Origin& origin, std::uint64_t octets, std::uint16_t status,
                              std::string_view comment) {
  if (closed_) return fail(Category::conflict, "the MSRP session is closed: no report can be sent");
  if (status < 100 || status > 999 || !is_header_text(comment)) {
    return fail(Category::malformed, "a report needs a three-digit status and a one-line comment");
  }
  const bool wanted =
      status == kOk ? origin.success_report : origin.failure_report != FailureReport::no;
  if (wanted) queue_report(origin, octets, {0, status, std::string(comment)});
  return {};
}

// --- Sending -----------------------------------------------------------------------------------

Result<Endpoint::Outgoing*> Endpoint::enqueue(OutgoingMessage message) {
  if (closed_) return fail(Category::conflict, "the MSRP session is closed: nothing can be sent");
  if (remote_.empty()) {
    return fail(Category::conflict, "the path of the peer is not known yet: wait for its SDP");
  }
  if (outgoing_.size() >= settings_.max_queued_messages) {
    return fail(Category::busy, "too many messages wait to be sent; try again later");
  }
  if (message.message_id.empty()) message.message_id = TRY(make_message_id(random_));
  const bool headers_fit = std::ranges::all_of(message.other_headers, [](const Header& header) {
    return is_token(header.name) && is_alpha(header.name.front()) && is_header_text(header.value);
  });
  if (!is_ident(message.message_id) || !headers_fit || !is_header_text(message.content_type)) {
    return fail(Category::malformed,
                "the Message-ID, Content-Type or a header cannot stand on a header line");
  }
  if (outgoing_.contains(message.message_id)) {
    return fail(Category::conflict, "a message with this Message-ID is being sent already");
  }
  auto entry = std::make_unique<Outgoing>();
  entry->message = std::move(message);
  Outgoing* const raw = entry.get();
  outgoing_.emplace(raw->message.message_id, std::move(entry));
  turn_.push_back(raw);
  return raw;
}

Result<std::string> Endpoint::send(OutgoingMessage message, ByteVector body) {
  if (message.content_type.empty() && !body.empty()) {
    return fail(Category::malformed, "a message with a body needs a Content-Type");
  }
  if (!has_room(body.size())) {
    return fail(Category::busy, "the queue of this session is full; try again later");
  }
  Outgoing* const entry = TRY(enqueue(std::move(message)));
  queued_octets_ += body.size();
  entry->total = body.size();
  entry->buffer = std::move(body);
  entry->finished = true;
  return entry->message.message_id;
}

Result<std::string> Endpoint::begin(OutgoingMessage message, std::optional<std::uint64_t> total) {
  if (message.content_type.empty()) {
    return fail(Category::malformed, "a message with a body needs a Content-Type");
  }
  Outgoing* const entry = TRY(enqueue(std::move(message)));
  entry->total = total;
  return entry->message.message_id;
}

Result<void> Endpoint::append(std::string_view message_id, Bytes piece) {
  const auto found = outgoing_.find(std::string(message_id));
  if (found == outgoing_.end() || found->second->finished || found->second->given_up) {
    return fail(Category::not_found, "the message is not being sent (any more)");
  }
  if (!has_room(piece.size())) {
    return fail(Category::busy, "the queue of this session is full; try again when it has room");
  }
  Outgoing& entry = *found->second;
  // What was written is cut off only when it is the larger half: each octet moves a constant
  // number of times.
  if (entry.consumed > entry.pending()) {
    entry.buffer.erase(entry.buffer.begin(),
                       entry.buffer.begin() + static_cast<std::ptrdiff_t>(entry.consumed));
    entry.consumed = 0;
  }
  entry.buffer.insert(entry.buffer.end(), piece.begin(), piece.end());
  queued_octets_ += piece.size();
  return {};
}

Result<void> Endpoint::finish(std::string_view message_id) {
  const auto found = outgoing_.find(std::string(message_id));
  if (found == outgoing_.end() || found->second->given_up) {
    return fail(Category::not_found, "the message is not being sent (any more)");
  }
  found->second->finished = true;
  return {};
}

void Endpoint::release_queue(Outgoing& message) {
  queued_octets_ -= message.pending();
  message.consumed = 0;
  message.buffer = {};
}

void Endpoint::forget(const std::string& message_id) {
  const auto found = outgoing_.find(message_id);
  if (found == outgoing_.end()) return;
  release_queue(*found->second);
  turn_.remove(found->second.get());
  outgoing_.erase(found);
}

void Endpoint::cancel(std::string_view message_id) {
  const auto found = outgoing_.find(std::string(message_id));
  if (found == outgoing_.end() || found->second->last_written) return;
  Outgoing& entry = *found->second;
  if (&entry != writing_ && entry.sent == 0) return forget(entry.message.message_id);
  entry.given_up = true;
}

void Endpoint::drop_transaction(const std::string& transaction_id) {
  const auto found = transactions_.find(transaction_id);
  if (found == transactions_.end()) return;
  if (found->second.failure_report == FailureReport::yes) --window_used_;
  transaction_order_.erase(found->second.position);
  transactions_.erase(found);
}

void Endpoint::on_response(const Head& head) {
  const auto found = transactions_.find(head.transaction_id);
  if (found == transactions_.end()) return;
  const Transaction transaction = found->second;
  drop_transaction(head.transaction_id);
  if (head.status_code != kOk) {
    return fail_message(transaction.message_id, head.status_code, head.comment);
  }
  const auto message = outgoing_.find(transaction.message_id);
  if (transaction.failure_report != FailureReport::yes || message == outgoing_.end()) return;
  --message->second->unanswered;
  settle(transaction.message_id);
}

// Reports success, once everything is written and answered.
void Endpoint::settle(const std::string& message_id) {
  const auto found = outgoing_.find(message_id);
  if (found == outgoing_.end()) return;
  const Outgoing& message = *found->second;
  if (!message.last_written || message.unanswered != 0) return;
  const bool given_up = message.given_up;
  const SendResult result{message_id, kOk, "OK"};
  forget(message_id);
  if (given_up) return;
  ++counters_.messages_sent;
  listener_.on_send_result(result);
}

void Endpoint::fail_message(const std::string& message_id, std::uint16_t status,
                            std::string_view comment) {
  const SendResult result{message_id, status, std::string(comment)};
  std::vector<std::string> siblings;
  for (const auto& [id, transaction] : transactions_) {
    if (transaction.message_id == message_id) siblings.push_back(id);
  }
  for (const std::string& id : siblings) drop_transaction(id);

  bool silent = false;
  if (const auto found = outgoing_.find(message_id); found != outgoing_.end()) {
    Outgoing& message = *found->second;
    silent = message.given_up;
    if (&message == writing_) {
      // Its open chunk must still be closed, with "#" (RFC 4975 7.3.2 and 10.5).
      message.given_up = true;
      message.unanswered = 0;
    } else {
      forget(result.message_id);
    }
  }
  if (silent) return;
  ++counters_.messages_failed;
  listener_.on_send_result(result);
}

void Endpoint::on_report_request(const Head& head) {
  if (!head.message_id || !head.status || head.status->name_space != 0) return;
  const auto found = outgoing_.find(*head.message_id);
  const bool sending = found != outgoing_.end();
  if (!sending && !contains(sent_ids_, *head.message_id)) return;
  ++counters_.reports_received;
  if (head.status->code != kOk && sending) {
    fail_message(*head.message_id, head.status->code, head.status->comment);
    if (closed_) return;
  }
  listener_.on_report({*head.message_id, head.byte_range, *head.status});
}

bool Endpoint::ready(const Outgoing& message) const noexcept {
  if (message.given_up) return true;
  if (message.message.failure_report == FailureReport::yes &&
      window_used_ >= settings_.max_open_transactions) {
    return false;
  }
  // The last octet waits for finish(), so that the "$" chunk is never empty; and chunks below
  // 2048 octets are for the end of a message.
  return message.finished || message.pending() > kInterruptibleFrom;
}

Endpoint::Outgoing* Endpoint::pick_next(const Outgoing* except) const noexcept {
  const auto found = std::ranges::find_if(
      turn_, [&](const Outgoing* message) { return message != except && ready(*message); });
  return found == turn_.end() ? nullptr : *found;
}

bool Endpoint::has_output() const noexcept {
  return writing_ != nullptr || !control_.empty() || pick_next() != nullptr;
}

Result<void> Endpoint::start_chunk(Outgoing& message, ByteVector& out) {
  const OutgoingMessage& wish = message.message;
  const std::size_t sendable = message.given_up   ? 0
                               : message.finished ? message.pending()
                                                  : message.pending() - 1;
  const std::size_t span =
      std::min(sendable, std::max(settings_.max_chunk_octets, kInterruptibleFrom));
  if (message.finished && !message.given_up) message.total = message.sent + message.pending();

  Head head;
  head.method = kSend;
  head.to_path = remote_;
  head.from_path = {local_};
  head.message_id = wish.message_id;
  head.success_report = wish.success_report;
  head.failure_report = wish.failure_report;
  head.other_headers = wish.other_headers;
  if (!wish.content_type.empty()) head.content_type = wish.content_type;
  message.interruptible = span > kInterruptibleFrom;
  head.byte_range = ByteRange{message.sent + 1, std::nullopt, message.total};
  if (!message.interruptible && !message.given_up) head.byte_range->end = message.sent + span;

  const Bytes body = Bytes(message.buffer).subspan(message.consumed, span);
  head.transaction_id = TRY(make_transaction_id(random_, body));
  if (transactions_.contains(head.transaction_id)) {
    return fail(Category::internal, "the random source repeats itself; check it");
  }

  message.transaction_id = head.transaction_id;
  message.chunk_left = span;
  message.chunk_written = 0;
  message.last_chunk = message.given_up || (message.finished && span == message.pending());
  // An answer to "#" interests nobody, and "partial" has no 200 to wait for: these only bring
  // errors, so they are not kept without bound.
  const bool awaited = wish.failure_report == FailureReport::yes && !message.given_up;
  if (awaited || (wish.failure_report == FailureReport::partial &&
                  transactions_.size() < 4 * settings_.max_open_transactions)) {
    const auto position = transaction_order_.insert(transaction_order_.end(), head.transaction_id);
    transactions_[head.transaction_id] = {wish.message_id, wish.failure_report, std::nullopt,
                                          position};
    if (awaited) {
      ++window_used_;
      ++message.unanswered;
    }
  }
  write_head(head, out);
  turn_.remove(&message);
  writing_ = &message;
  return {};
}

void Endpoint::end_chunk(ByteVector& out, bool interrupted) {
  Outgoing& message = *std::exchange(writing_, nullptr);
  const Flag flag = message.given_up                     ? Flag::aborted
                    : !interrupted && message.last_chunk ? Flag::complete
                                                         : Flag::more;
  if (!message.message.content_type.empty()) {
    out.push_back('\r');
    out.push_back('\n');
  }
  write_end_line(message.transaction_id, flag, out);
  if (const auto found = transactions_.find(message.transaction_id); found != transactions_.end()) {
    found->second.deadline = clock_.steady_now() + settings_.response_timeout;
  }
  if (flag == Flag::more) {
    turn_.push_back(&message);
    return;
  }
  message.last_written = true;
  if (flag == Flag::complete) {
    remember(sent_ids_, message.message.message_id, kRememberedIds);
    return settle(message.message.message_id);
  }
  forget(message.message.message_id);
}

Result<void> Endpoint::write(ByteVector& out, std::size_t wanted) {
  const std::size_t goal = out.size() + wanted;
  while (!closed_ && out.size() < goal) {
    if (writing_ == nullptr) {
      if (!control_.empty()) {
        out.insert(out.end(), control_.begin(), control_.end());
        control_.clear();
        continue;
      }
      Outgoing* const next = pick_next();
      if (next == nullptr) break;
      TRY(start_chunk(*next, out));
      continue;
    }
    Outgoing& message = *writing_;
    // RFC 4975 7.1.1: a large chunk yields to answers and reports, and in fair shares to others.
    std::size_t share = message.chunk_left;
    if (message.interruptible) {
      std::size_t yield_at = message.chunk_written + message.chunk_left;
      if (!control_.empty()) {
        yield_at = kInterruptibleFrom;
      } else if (pick_next(&message) != nullptr) {
        yield_at = kFairShareOctets;
      }
      if (message.given_up) yield_at = 0;
      share = std::min(share, yield_at - std::min(yield_at, message.chunk_written));
    }
    share = std::min(share, goal - out.size());
    if (share == 0) {
      end_chunk(out, message.chunk_left != 0);
      continue;
    }
    const Bytes piece = Bytes(message.buffer).subspan(message.consumed, share);
    out.insert(out.end(), piece.begin(), piece.end());
    message.consumed += share;
    message.sent += share;
    message.chunk_left -= share;
    message.chunk_written += share;
    queued_octets_ -= share;
    counters_.body_octets_sent += share;
  }
  return {};
}

// --- Time --------------------------------------------------------------------------------------

std::optional<SteadyTime> Endpoint::next_deadline() const {
  std::optional<SteadyTime> next;
  // Chunks follow one another on the wire, so the oldest transaction has the first deadline.
  if (!transaction_order_.empty()) {
    next = transactions_.at(transaction_order_.front()).deadline;
  }
  for (const auto& [id, assembly] : assemblies_) {
    if (incoming_ != nullptr && incoming_->assembly == assembly.get()) continue;
    const SteadyTime end = assembly->last_chunk + settings_.unfinished_timeout;
    if (!next || end < *next) next = end;
  }
  return next;
}

void Endpoint::on_time() {
  const SteadyTime now = clock_.steady_now();
  while (!closed_ && !transaction_order_.empty()) {
    const std::string id = transaction_order_.front();
    const Transaction transaction = transactions_.at(id);
    if (!transaction.deadline || *transaction.deadline > now) break;
    drop_transaction(id);
    if (transaction.failure_report == FailureReport::yes) {
      fail_message(transaction.message_id, kTimeout, "no answer in time");
    }
  }
  std::vector<std::string> expired;
  for (const auto& [id, assembly] : assemblies_) {
    const bool arriving = incoming_ != nullptr && incoming_->assembly == assembly.get();
    if (!arriving && assembly->last_chunk + settings_.unfinished_timeout <= now) {
      expired.push_back(id);
    }
  }
  for (const std::string& id : expired) {
    ++counters_.messages_dropped;
    drop_assembly(id);
  }
}

}  // namespace keystub::msrp
