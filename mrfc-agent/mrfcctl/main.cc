// mrfcctl: the operator's and the lab's client of the session control interface of an MRFC.
#include <cstdio>
#include <string>

#include "mrfc-agent/mrfcctl/mrfcctl_client.h"
#include "rpc/channel.h"
#include "rpc/library.h"
#include "service/command_line.h"
#include "service/config.h"

namespace keystub::mrfc {
namespace {

constexpr const char* kProgram = "mrfcctl";

struct Connection {
  std::string server = "127.0.0.1:7445";
  std::string server_name;
  std::string ca;
  std::string certificate;
  std::string private_key;
  std::string output = "table";
  std::string timeout;
};

Result<std::unique_ptr<MrfcCtlClient>> connect(const Connection& to,
                                               std::chrono::milliseconds default_timeout) {
  if (to.ca.empty() || to.certificate.empty() || to.private_key.empty()) {
    return fail(Category::malformed,
                "--ca, --cert and --key are needed: the MRFC asks for a "
                "certificate");
  }
  const auto timeout =
      to.timeout.empty() ? default_timeout : TRY(service::parse_duration(to.timeout));
  rpc::ChannelOptions options;
  options.server_name = to.server_name;
  const rpc::ChannelTls tls{to.ca, to.certificate, to.private_key};
  const auto channel = TRY(rpc::open_tls_channel(to.server, tls, options));
  return std::make_unique<MrfcCtlClient>(
      channel, to.output == "json" ? OutputFormat::json : OutputFormat::table, timeout);
}

int print(const Result<CtlText>& text) {
  if (!text) return service::report(kProgram, text.error());
  // The SDP alone on standard output can be piped.
  std::fputs(text->result.c_str(), text->sdp.empty() ? stdout : stderr);
  std::fputs(text->sdp.c_str(), stdout);
  return service::kExitOk;
}

template <class Call>
int run(const Connection& connection, Call call) {
  auto client = connect(connection, std::chrono::seconds{15});
  if (!client) return service::report(kProgram, client.error());
  return print(call(**client));
}

int watch(const Connection& connection, const WatchArguments& arguments) {
  auto client = connect(connection, std::chrono::milliseconds{0});
  if (!client) return service::report(kProgram, client.error());
  const auto done = (*client)->watch(arguments, [](const std::string& line) {
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
  });
  return done ? service::kExitOk : service::report(kProgram, done.error());
}

}  // namespace
}  // namespace keystub::mrfc

int main(int argc, char** argv) {
  using namespace keystub;
  using namespace keystub::mrfc;
  service::CommandLine command_line("mrfcctl",
                                    "Makes offers, answers offers and watches sessions at an MRFC.",
                                    service::exit_code_table());
  Connection connection;
  service::Verb& top = command_line.top();
  top.option("--server", connection.server, "the MRFC, \"address:port\"")
      .option("--server-name", connection.server_name, "name in its certificate, if not the host")
      .option("--ca", connection.ca, "PEM file of the MRFC's certificate authority")
      .option("--cert", connection.certificate, "PEM file of our certificate")
      .option("--key", connection.private_key, "PEM file of its key")
      .option("--timeout", connection.timeout, "\"15s\"; watch has none by default")
      .choice("--output", connection.output, {"table", "json"}, "table or json");

  OfferArguments offer;
  top.verb("offer", "Makes an SDP offer (dial-out).")
      .required_option("--peer", offer.peer, "the invited user (Request-URI)")
      .option("--served", offer.served, "the MRFC's identity in this session")
      .option("--conference", offer.conference, "joins this conference")
      .option("--sdp-out", offer.sdp_out, "where the offer goes: a file, or - for standard output")
      .option("--trace-id", offer.trace_id, "goes into all logs")
      .action([&] {
        return run(connection, [&](MrfcCtlClient& client) { return client.offer(offer); });
      });

  AcceptOfferArguments accept_offer;
  top.verb("accept-offer", "Answers an SDP offer (dial-in).")
      .required_option("--sdp", accept_offer.sdp, "the offer: a file, or - for standard input")
      .required_option("--from", accept_offer.from, "the caller as it calls itself (From)")
      .option("--asserted", accept_offer.asserted, "the caller as the network asserts it")
      .option("--served", accept_offer.served, "the MRFC's identity in this session")
      .option("--conference", accept_offer.conference, "joins this conference")
      .option("--sdp-out", accept_offer.sdp_out, "where the answer goes: a file, or -")
      .option("--trace-id", accept_offer.trace_id, "goes into all logs")
      .action([&] {
        return run(connection,
                   [&](MrfcCtlClient& client) { return client.accept_offer(accept_offer); });
      });

  AcceptAnswerArguments accept_answer;
  top.verb("accept-answer", "Takes an SDP answer to an offer that was made.")
      .required_option("--session", accept_answer.session, "the session of the offer")
      .required_option("--sdp", accept_answer.sdp, "the answer: a file, or - for standard input")
      .option("--dialog", accept_answer.dialog, "names the dialog (To tag)")
      .option("--asserted", accept_answer.asserted, "who answered, as the network asserts it")
      .flag("--provisional", accept_answer.provisional, "not the final answer (18x)")
      .option("--trace-id", accept_answer.trace_id, "goes into all logs")
      .action([&] {
        return run(connection,
                   [&](MrfcCtlClient& client) { return client.accept_answer(accept_answer); });
      });

  std::string released;
  top.verb("release", "Ends a session and its media.")
      .required_option("--session", released, "the session")
      .action([&] {
        return run(connection, [&](MrfcCtlClient& client) { return client.release(released); });
      });

  top.verb("list", "Lists the sessions.").action([&] {
    return run(connection, [](MrfcCtlClient& client) { return client.list(); });
  });

  WatchArguments watched;
  top.verb("watch", "Prints events until interrupted.")
      .option("--session", watched.session, "of this session only")
      .option("--from", watched.from, "from this sequence on; 0: from now on")
      .choice("--until", watched.until,
              {"offered", "connecting", "established", "failed", "released", "rejected"},
              "ends when a medium reaches this state")
      .action([&] { return watch(connection, watched); });

  rpc::end_process(command_line.run(argc, argv));
}
