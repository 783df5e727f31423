#include "mrfc-agent/mrfcctl/mrfcctl_client.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <grpcpp/channel.h>
#include <nlohmann/json.hpp>

#include "keystub/v1/session_control.grpc.pb.h"
#include "rpc/call.h"
#include "rpc/status.h"

namespace keystub::mrfc {
namespace {

namespace v1 = keystub::v1;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxSdpOctets = 1 << 20;

std::string_view state_name(v1::MediaState state) {
  switch (state) {
    case v1::MEDIA_STATE_OFFERED: return "offered";
    case v1::MEDIA_STATE_CONNECTING: return "connecting";
    case v1::MEDIA_STATE_ESTABLISHED: return "established";
    case v1::MEDIA_STATE_FAILED: return "failed";
    case v1::MEDIA_STATE_RELEASED: return "released";
    case v1::MEDIA_STATE_REJECTED: return "rejected";
    default: return "unknown";
  }
}
bool is_end(v1::MediaState state) {
  return state == v1::MEDIA_STATE_FAILED || state == v1::MEDIA_STATE_RELEASED ||
         state == v1::MEDIA_STATE_REJECTED;
}

Error refusal(const grpc::Status& status, std::string_view what) {
  Error error = rpc::to_error(status, what);
  if (const auto detail = rpc::detail_of<v1::SetupRefusal>(status)) {
    return {error.category(),
            fmt::format("{} (for SIP: {}, Warning {} \"{}\")", error.text(), detail->sip_status(),
                        detail->warning_code(), detail->warning_text())};
  }
  return error;
}

Result<std::string> read_sdp(const std::string& from) {
  std::string text;
  if (from == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream in(from, std::ios::binary);
    if (!in) return fail(Category::not_found, fmt::format("{} cannot be read", from));
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  if (text.size() > kMaxSdpOctets) {
    return fail(Category::malformed, fmt::format("{} is too long for an SDP", from));
  }
  return text;
}

// Under another name first: who waits for the file never sees half of it.
Result<void> write_sdp(const std::string& file, const std::string& sdp) {
  const std::string unfinished = file + ".new";
  std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
  out << sdp;
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(unfinished, file, error);
  if (!out || error) {
    return fail(Category::unavailable, fmt::format("{} cannot be written", file));
  }
  return {};
}

Json media_json(const google::protobuf::RepeatedPtrField<v1::MediaStatus>& media) {
  Json out = Json::array();
  for (const v1::MediaStatus& status : media) {
    out.push_back({{"index", status.index()},
                   {"kind", "msrp"},
                   {"state", state_name(status.state())},
                   {"tcp_active", status.tcp_active()},
                   {"tls_client", status.tls_client()}});
  }
  return out;
}

std::string media_text(const google::protobuf::RepeatedPtrField<v1::MediaStatus>& media) {
  std::string out;
  for (const v1::MediaStatus& status : media) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", status.index(),
                       state_name(status.state()));
    if (status.state() != v1::MEDIA_STATE_REJECTED && status.state() != v1::MEDIA_STATE_OFFERED) {
      out += fmt::format(" (TCP {}, TLS {})", status.tcp_active() ? "client" : "server",
                         status.tls_client() ? "client" : "server");
    }
  }
  return out;
}

// One result as JSON, or as lines "name  value".
std::string render(OutputFormat format, const Json& values) {
  if (format == OutputFormat::json) return values.dump(2) + "\n";
  std::string out;
  for (const auto& [name, value] : values.items()) {
    out += fmt::format("{:<16}{}\n", name,
                       value.is_string() ? value.get<std::string>() : value.dump());
  }
  return out;
}

// Columns as wide as their widest cell.
std::string render_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 < row.size() ? fmt::format("{:<{}}  ", row[i], widths[i]) : row[i];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

// Puts the SDP where it was asked for: a file, standard output, or the result itself.
Result<CtlText> with_sdp(OutputFormat format, Json values, const std::string& sdp,
                         const std::string& sdp_out) {
  CtlText text;
  if (sdp_out.empty()) {
    if (format == OutputFormat::json) {
      values["sdp"] = sdp;
      text.result = render(format, values);
    } else {
      text.result = render(format, values) + "\n" + sdp;
    }
    return text;
  }
  text.result = render(format, values);
  if (sdp_out == "-") {
    text.sdp = sdp;
  } else {
    TRY(write_sdp(sdp_out, sdp));
  }
  return text;
}

}  // namespace

struct MrfcCtlClient::Impl {
  Impl(const std::shared_ptr<grpc::Channel>& channel, OutputFormat output,
       std::chrono::milliseconds time)
      : stub(v1::SessionControl::NewStub(channel)), format(output), timeout(time) {}

  template <class Request, class Response, class Method>
  Result<Response> call(Method method, std::string_view what, const Request& request) {
    grpc::ClientContext context;
    rpc::prepare(context, timeout);
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    if (!status.ok()) return std::unexpected(refusal(status, what));
    return response;
  }

  const std::unique_ptr<v1::SessionControl::Stub> stub;
  const OutputFormat format;
  const std::chrono::milliseconds timeout;
};

MrfcCtlClient::MrfcCtlClient(const std::shared_ptr<grpc::Channel>& channel, OutputFormat format,
                             std::chrono::milliseconds timeout)
    : impl_(std::make_unique<Impl>(channel, format, timeout)) {}
MrfcCtlClient::~MrfcCtlClient() = default;

Result<CtlText> MrfcCtlClient::offer(const OfferArguments& arguments) {
  v1::CreateOfferRequest request;
  request.mutable_parties()->set_served(arguments.served);
  request.mutable_parties()->set_claimed_peer(arguments.peer);
  request.set_conference_id(arguments.conference);
  request.add_media()->set_kind(v1::MEDIA_KIND_MSRP);
  request.set_trace_id(arguments.trace_id);
  const auto response = TRY((impl_->call<v1::CreateOfferRequest, v1::CreateOfferResponse>(
      &v1::SessionControl::Stub::CreateOffer, "offer", request)));
  const Json values{
      {"session", response.session_id()},
      {"conference", response.conference_id()},
      {"keys",
       response.key_source() == v1::KEY_SOURCE_SELF_ISSUED ? "self-issued" : "issued by the KMS"}};
  return with_sdp(impl_->format, values, response.sdp_offer(), arguments.sdp_out);
}

Result<CtlText> MrfcCtlClient::accept_offer(const AcceptOfferArguments& arguments) {
  v1::AcceptOfferRequest request;
  request.mutable_parties()->set_served(arguments.served);
  request.mutable_parties()->set_asserted_peer(arguments.asserted);
  request.mutable_parties()->set_claimed_peer(arguments.from);
  request.set_conference_id(arguments.conference);
  request.set_sdp_offer(TRY(read_sdp(arguments.sdp)));
  request.set_trace_id(arguments.trace_id);
  const auto response = TRY((impl_->call<v1::AcceptOfferRequest, v1::AcceptOfferResponse>(
      &v1::SessionControl::Stub::AcceptOffer, "accept-offer", request)));
  Json values{{"session", response.session_id()},
              {"dialog", response.dialog_id()},
              {"conference", response.conference_id()}};
  if (impl_->format == OutputFormat::json) {
    values["media"] = media_json(response.media());
  } else {
    values["media"] = media_text(response.media());
  }
  return with_sdp(impl_->format, values, response.sdp_answer(), arguments.sdp_out);
}

Result<CtlText> MrfcCtlClient::accept_answer(const AcceptAnswerArguments& arguments) {
  v1::AcceptAnswerRequest request;
  request.set_session_id(arguments.session);
  request.set_dialog_id(arguments.dialog);
  request.set_sdp_answer(TRY(read_sdp(arguments.sdp)));
  request.set_asserted_peer(arguments.asserted);
  request.set_final(!arguments.provisional);
  request.set_trace_id(arguments.trace_id);
  const auto response = TRY((impl_->call<v1::AcceptAnswerRequest, v1::AcceptAnswerResponse>(
      &v1::SessionControl::Stub::AcceptAnswer, "accept-answer", request)));
  Json values{{"session", response.session_id()}, {"dialog", response.dialog_id()}};
  if (impl_->format == OutputFormat::json) {
    values["media"] = media_json(response.media());
  } else {
    values["media"] = media_text(response.media());
  }
  return CtlText{render(impl_->format, values), {}};
}

Result<CtlText> MrfcCtlClient::release(const std::string& session) {
  v1::ReleaseSessionRequest request;
  request.set_session_id(session);
  TRY((impl_->call<v1::ReleaseSessionRequest, v1::ReleaseSessionResponse>(
      &v1::SessionControl::Stub::ReleaseSession, "release", request)));
  return CtlText{render(impl_->format, {{"released", session}}), {}};
}

Result<CtlText> MrfcCtlClient::list() {
  const auto response = TRY((impl_->call<v1::ListSessionsRequest, v1::ListSessionsResponse>(
      &v1::SessionControl::Stub::ListSessions, "list", v1::ListSessionsRequest())));
  if (impl_->format == OutputFormat::json) {
    Json out = Json::array();
    for (const v1::SessionStatus& session : response.sessions()) {
      out.push_back({{"session", session.session_id()},
                     {"conference", session.conference_id()},
                     {"dialog", session.dialog_id()},
                     {"authenticated_peer", session.authenticated_peer()},
                     {"trace_id", session.trace_id()},
                     {"media", media_json(session.media())}});
    }
    return CtlText{out.dump(2) + "\n", {}};
  }
  std::vector<std::vector<std::string>> rows{{"SESSION", "CONFERENCE", "PEER", "MEDIA"}};
  for (const v1::SessionStatus& session : response.sessions()) {
    rows.push_back({session.session_id(), session.conference_id(),
                    session.authenticated_peer().empty() ? "-" : session.authenticated_peer(),
                    media_text(session.media())});
  }
  return CtlText{render_table(rows), {}};
}

Result<void> MrfcCtlClient::watch(const WatchArguments& arguments,
                                  const std::function<void(const std::string&)>& print) {
  grpc::ClientContext context;
  if (impl_->timeout.count() > 0) rpc::prepare(context, impl_->timeout);
  v1::WatchSessionEventsRequest request;
  request.set_session_id(arguments.session);
  request.set_from_sequence(static_cast<std::uint64_t>(arguments.from));
  const auto reader = impl_->stub->WatchSessionEvents(&context, request);
  v1::SessionEvent event;
  while (reader->Read(&event)) {
    const std::string time = google::protobuf::util::TimeUtil::ToString(event.time());
    if (impl_->format == OutputFormat::json) {
      print(Json{{"instance", event.instance_id()},
                 {"sequence", event.sequence()},
                 {"time", time},
                 {"session", event.session_id()},
                 {"dialog", event.dialog_id()},
                 {"media", event.media_index()},
                 {"state", state_name(event.state())},
                 {"detail", event.detail()},
                 {"trace_id", event.trace_id()}}
                .dump() +
            "\n");
    } else {
      print(fmt::format("{} {} {} media {} {}{}{}\n", event.sequence(), time, event.session_id(),
                        event.media_index(), state_name(event.state()),
                        event.detail().empty() ? "" : ": ", event.detail()));
    }
    if (arguments.until.empty()) continue;
    const bool reached = state_name(event.state()) == arguments.until;
    if (!reached && !is_end(event.state())) continue;
    context.TryCancel();
    static_cast<void>(reader->Finish());
    if (reached) return {};
    return fail(Category::denied,
                fmt::format("watch: the medium is {} and will not be {}: {}",
                            state_name(event.state()), arguments.until, event.detail()));
  }
  const grpc::Status status = reader->Finish();
  if (status.ok()) return {};
  return std::unexpected(rpc::to_error(status, "watch"));
}

}  // namespace keystub::mrfc
