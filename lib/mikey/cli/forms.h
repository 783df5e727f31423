// The forms of a tree. The text form and the JSON form are read back by build; the annotated form
// is for people.
//
// Text form: a line per field, "NAME: VALUE", a line with nothing but NAME above a payload or a
// group, two blanks more for what is inside. What stands behind "# " is a remark.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "mikey/cli/node.h"

namespace keystub::mikey::cli {

void print_annotated(std::ostream& out, const std::vector<Node>& nodes);
void print_text(std::ostream& out, const std::vector<Node>& nodes);
// An array of objects: name, value or fields, note, clause, offset, length, derived.
nlohmann::ordered_json to_json(const std::vector<Node>& nodes);

// An error names the line.
Result<std::vector<Node>> parse_text(std::string_view text);
// The array of to_json(), an object that holds it as "payloads", or one whose "messages" has one
// such object: what explain --json prints.
Result<std::vector<Node>> parse_json(std::string_view text);

}  // namespace keystub::mikey::cli
