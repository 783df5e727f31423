// What the `mikey` command does with any input: it finds messages, checks each one, and what it
// shows of one can be built again; any text as the text form or JSON form of a message.
#include <cstdlib>
#include <sstream>

#include <nlohmann/json.hpp>

#include "mikey/cli/assemble.h"
#include "mikey/cli/describe.h"
#include "mikey/cli/diff.h"
#include "mikey/cli/forms.h"
#include "mikey/cli/input.h"
#include "mikey/cli/lint.h"

using namespace keystub;
using namespace keystub::mikey;

namespace {

void look_into(Bytes octets) {
  const auto findings = cli::lint(octets);
  const auto message = Message::parse(octets);
  if (!message) {
    if (findings.size() != 1) std::abort();
    return;
  }
  const std::vector<cli::Node> tree = cli::describe(*message);
  std::ostringstream annotated;
  cli::print_annotated(annotated, tree);
  std::ostringstream text;
  cli::print_text(text, tree);
  const auto from_text = cli::parse_text(text.str());
  const auto from_json = cli::parse_json(cli::to_json(tree).dump());
  for (const auto* form : {&from_text, &from_json}) {
    const auto built = cli::assemble(form->value());
    if (!built || !equal(*built, octets)) std::abort();
  }
  if (!cli::diff(tree, tree).empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  if (const auto found = cli::find_messages(text)) {
    for (const cli::Found& one : *found) look_into(one.octets);
  }
  for (const auto parse : {cli::parse_text, cli::parse_json}) {
    const auto tree = parse(text);
    if (!tree) continue;
    if (const auto built = cli::assemble(*tree)) look_into(*built);
  }
  return 0;
}
