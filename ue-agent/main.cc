// ue-agent: the lab's user endpoint (UE-1). One command is one session, as offerer or as answerer.
#include <iostream>

#include "service/command_line.h"
#include "service/lifecycle.h"
#include "ue-agent/kms_gateway.h"
#include "ue-agent/ue_session.h"

namespace {

using namespace keystub;

constexpr std::string_view kDescription =
    "A user endpoint for labs: MIKEY-TICKET in SDP, TLS-PSK, MSRP.";

struct Arguments {
  std::string config;
  std::string output = "text";

  // offer
  std::string to;
  bool self_issued = false;
  std::string offer_out;
  std::string answer_in;

  // answer
  std::string from;
  std::string offer_in;
  std::string answer_out;

  // both
  std::string offer_setup = "actpass";
  std::string answer_setup;
  std::string send;
  std::int64_t send_after = 0;
  std::int64_t expect = 0;
  std::int64_t timeout = 30;

  bool lab_tamper_ticket = false;
  bool lab_wrong_psk = false;
  bool lab_no_media = false;
  std::string lab_connect;
};

class Command {
 public:
  explicit Command(const Arguments& arguments) : arguments_(arguments) {}

  Result<void> init() {
    const auto config = TRY(load());
    return ue::create_replay_memory(config);
  }

  Result<void> check_config() {
    auto file = TRY(service::Config::load(arguments_.config));
    TRY(ue::UeConfig::read(file));
    std::cout << file.dump();
    return {};
  }

  Result<void> offer() {
    const auto config = TRY(load());
    ue::OfferOptions options;
    options.to = arguments_.to;
    options.mode = arguments_.self_issued ? ue::TicketMode::mode_3 : ue::TicketMode::mode_1;
    options.setup = TRY(sdp::parse_setup(arguments_.offer_setup));
    options.tamper_ticket = arguments_.lab_tamper_ticket;
    const auto tickets = TRY(ticket_source(config));
    ue::UeSession session(env_, config, *reporter_, TRY(session_options()));
    return session.offer(*tickets, std::move(options), arguments_.offer_out, arguments_.answer_in);
  }

  Result<void> answer() {
    const auto config = TRY(load());
    ue::AnswerOptions options;
    options.from = arguments_.from;
    if (!arguments_.answer_setup.empty()) {
      options.setup = TRY(sdp::parse_setup(arguments_.answer_setup));
    }
    const auto kms = TRY(ue::KmsGateway::open(env_, config));
    ue::UeSession session(env_, config, *reporter_, TRY(session_options()));
    return session.answer(*kms, std::move(options), arguments_.offer_in, arguments_.answer_out);
  }

  // The exit code of a step, after saying what went wrong.
  int finish(const Result<void>& done) {
    if (done) return service::kExitOk;
    if (reporter_) {
      reporter_->event("failed", {{"category", category_name(done.error().category())},
                                  {"reason", done.error().describe()}});
      return service::exit_code(done.error().category());
    }
    return service::report("ue-agent", done.error());
  }

 private:
  Result<ue::UeConfig> load() {
    auto file = TRY(service::Config::load(arguments_.config));
    auto config = TRY(ue::UeConfig::read(file));
    reporter_.emplace(arguments_.output == "json" ? ue::Reporter::Format::json
                                                  : ue::Reporter::Format::text);
    return config;
  }

  Result<std::unique_ptr<ue::TicketSource>> ticket_source(const ue::UeConfig& config) {
    if (!arguments_.self_issued) return TRY(ue::KmsGateway::open(env_, config));
    if (config.tpk_file.empty()) {
      return fail(Category::malformed,
                  "--self-issued needs ticket.tpk_file and ticket.tpk_id in the configuration "
                  "(kmsctl tpk share --identity URI makes them)");
    }
    auto key =
        TRY(service::read_secret<mikey::TpkTag>(config.tpk_file, config.tpk_encoding, 16, 64));
    return std::make_unique<ue::SelfIssuedTickets>(
        env_, mikey::TicketProtection{std::move(key), config.tpk_id, {}});
  }

  Result<ue::SessionOptions> session_options() const {
    ue::SessionOptions options;
    if (!arguments_.send.empty()) options.script.send = arguments_.send;
    options.script.send_after = arguments_.send_after;
    options.script.expect = arguments_.expect;
    options.timeout = std::chrono::seconds(arguments_.timeout);
    options.wrong_psk = arguments_.lab_wrong_psk;
    options.no_media = arguments_.lab_no_media;
    if (!arguments_.lab_connect.empty()) {
      options.connect_to = TRY(service::parse_socket_address(arguments_.lab_connect));
    }
    return options;
  }

  const Arguments& arguments_;
  SystemClock clock_;
  OpenSslRandom random_;
  const mikey::Environment env_{clock_, random_};
  std::optional<ue::Reporter> reporter_;
};

void add_media_options(service::Verb& verb, Arguments& arguments) {
  verb.option("--send", arguments.send, "text of one MSRP message to send");
  verb.option("--send-after", arguments.send_after, "send it when N messages have been received");
  verb.option("--expect", arguments.expect, "MSRP messages to receive before the end");
  verb.option("--timeout", arguments.timeout, "seconds for the whole session");
  verb.choice("--output", arguments.output, {"text", "json"}, "form of the events on stderr");
  verb.flag("--lab-wrong-psk", arguments.lab_wrong_psk, "LAB ONLY: another key in TLS");
  verb.flag("--lab-no-media", arguments.lab_no_media, "LAB ONLY: end after the offer/answer");
  verb.option("--lab-connect", arguments.lab_connect,
              "LAB ONLY: IP:PORT to connect to, with this session's key");
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto hardened = service::harden_process(); !hardened) {
    return service::report("ue-agent", hardened.error());
  }
  Arguments arguments;
  Command command(arguments);
  service::CommandLine line("ue-agent", std::string(kDescription), service::exit_code_table());
  auto& top = line.top();

  auto& init = top.verb("init", "make the memory of answered offers, once per user");
  init.required_option("--config", arguments.config, "configuration file (TOML)");
  init.action([&] { return command.finish(command.init()); });

  auto& check = top.verb("check-config", "check the configuration and print what is in force");
  check.required_option("--config", arguments.config, "configuration file (TOML)");
  check.action([&] { return command.finish(command.check_config()); });

  auto& offer = top.verb("offer", "offer a session, and be its initiator");
  offer.required_option("--config", arguments.config, "configuration file (TOML)");
  offer.required_option("--to", arguments.to, "URI of the other side");
  offer.required_option("--offer-out", arguments.offer_out, "where the SDP offer goes: FILE or -");
  offer.required_option("--answer-in", arguments.answer_in,
                        "where the SDP answer comes from: FILE, FIFO or -");
  offer.flag("--self-issued", arguments.self_issued, "issue the ticket ourselves (mode 3)");
  offer.choice("--setup", arguments.offer_setup, {"actpass", "active", "passive"},
               "a=setup of the offer");
  offer.flag("--lab-tamper-ticket", arguments.lab_tamper_ticket,
             "LAB ONLY: flip a bit of the ticket on its way");
  add_media_options(offer, arguments);
  offer.action([&] { return command.finish(command.offer()); });

  auto& answer = top.verb("answer", "answer an offer, and be the responder");
  answer.required_option("--config", arguments.config, "configuration file (TOML)");
  answer.required_option("--offer-in", arguments.offer_in,
                         "where the SDP offer comes from: FILE, FIFO or -");
  answer.required_option("--answer-out", arguments.answer_out,
                         "where the SDP answer goes: FILE or -");
  answer.option("--from", arguments.from, "URI of the caller as the network asserts it");
  answer.choice("--setup", arguments.answer_setup, {"active", "passive"}, "a=setup of the answer");
  add_media_options(answer, arguments);
  answer.action([&] { return command.finish(command.answer()); });

  return line.run(argc, argv);
}
