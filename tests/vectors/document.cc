#include "tests/vectors/document.h"

#include "tests/vectors/errors.h"
#include "tests/vectors/exchanges.h"
#include "tests/vectors/refusals.h"

namespace keystub::vectors {

std::string document() {
  Json file;
  file["name"] = "keystub-mikey-1";
  file["specification"] = "RFC 6043";
  file["values"] = kHowValuesAreMade;
  file["test_keys"] = test_keys();
  std::map<std::string, Call> calls;
  for (const Exchange& exchange : exchanges()) {
    const Call& call = calls.try_emplace(exchange.id, exchange.inputs).first->second;
    Json& entry = file["exchanges"][exchange.id];
    entry["title"] = exchange.title;
    entry["inputs"] = exchange.inputs;
    for (const auto& [name, octets] : call.messages()) entry["messages"][name] = to_hex(octets);
    entry["message_keys"] = call.message_keys();
    entry["results"] = call.results();
  }
  file["errors"] = errors(calls);
  file["refusals"] = refusals(calls);
  return file.dump(1) + "\n";
}

}  // namespace keystub::vectors
