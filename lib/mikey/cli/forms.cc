#include "mikey/cli/forms.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace keystub::mikey::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kIndent = 2;
constexpr int kMaxDepth = 16;             // a key in a KEMAC in a TP is at 6
constexpr std::size_t kValueColumn = 32;  // of the annotated form
constexpr std::size_t kHexDigitsInLine = 64;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

// The line without its remark: "# " at its beginning or behind a blank, outside quotes.
std::string_view without_remark(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    const bool begins = i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t';
    const bool ends = i + 1 == line.size() || line[i + 1] == ' ';
    if (line[i] == '#' && !quoted && begins && ends) return line.substr(0, i);
  }
  return line;
}

void print_annotated(std::ostream& out, const std::vector<Node>& nodes, std::size_t depth) {
  for (const Node& node : nodes) {
    const std::string name = std::string(depth * kIndent, ' ') + node.name;
    if (node.is_group()) {
      fmt::print(out, "{:5}  {}{}{}\n", node.offset, name, node.clause.empty() ? "" : "  -  ",
                 node.clause);
      print_annotated(out, node.children, depth + 1);
      continue;
    }
    std::string_view value = node.value;
    std::string line = fmt::format("{:5}  {:{}}", node.offset, name, kValueColumn - 2);
    if (value.empty() && node.note.empty()) line += "  (empty)";
    // Long octets go on below, under the first of them.
    while (value.size() > kHexDigitsInLine && !value.starts_with('"')) {
      fmt::print(out, "{}  {}\n", line, value.substr(0, kHexDigitsInLine));
      value.remove_prefix(kHexDigitsInLine);
      line = std::string(line.size() > kValueColumn + 5 ? line.size() : kValueColumn + 5, ' ');
    }
    if (!value.empty()) line += "  " + std::string(value);
    if (!node.note.empty()) line += "   # " + node.note;
    fmt::print(out, "{}\n", line);
    print_annotated(out, node.children, depth + 1);
  }
}

void print_text(std::ostream& out, const std::vector<Node>& nodes, std::size_t depth) {
  for (const Node& node : nodes) {
    if (node.kind == Node::Kind::derived) continue;
    const std::string indent(depth * kIndent, ' ');
    if (node.is_group()) {
      const std::string remark = node.clause.empty() ? "" : "  # " + node.clause;
      fmt::print(out, "{}{}{}\n", indent, node.name, remark);
      print_text(out, node.children, depth + 1);
    } else {
      const std::string value = node.value.empty() ? "" : " " + node.value;
      const std::string remark = node.note.empty() ? "" : "  # " + node.note;
      fmt::print(out, "{}{}:{}{}\n", indent, node.name, value, remark);
    }
  }
}

Result<std::vector<Node>> nodes_of(const ordered_json& json, int depth = 0) {
  if (depth > kMaxDepth) return fail(Category::malformed, "the JSON is nested too deeply");
  if (!json.is_array()) {
    return fail(Category::malformed, "payloads and fields are arrays of objects with a name");
  }
  std::vector<Node> nodes;
  for (const ordered_json& object : json) {
    if (!object.is_object() || !object.contains("name") || !object["name"].is_string()) {
      return fail(Category::malformed, "a payload or field is an object with a name");
    }
    Node node;
    node.name = object["name"];
    if (object.value("derived", false)) continue;
    if (object.contains("value") && object["value"].is_string()) {
      node.kind = Node::Kind::text;
      node.value = object["value"];
    } else if (object.contains("value") && object["value"].is_number_unsigned()) {
      node.kind = Node::Kind::number;
      node.value = std::to_string(object["value"].get<std::uint64_t>());
    } else if (object.contains("fields")) {
      node.children = TRY(nodes_of(object["fields"], depth + 1));
    } else {
      return fail(Category::malformed, fmt::format("'{}' has neither a value, a text or a whole "
                                                   "number, nor fields",
                                                   node.name));
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace

void print_annotated(std::ostream& out, const std::vector<Node>& nodes) {
  print_annotated(out, nodes, 0);
}

void print_text(std::ostream& out, const std::vector<Node>& nodes) { print_text(out, nodes, 0); }

ordered_json to_json(const std::vector<Node>& nodes) {
  ordered_json array = ordered_json::array();
  for (const Node& node : nodes) {
    ordered_json object;
    object["name"] = node.name;
    if (node.kind == Node::Kind::number) {
      object["value"] = std::stoull(node.value);
    } else if (!node.is_group()) {
      object["value"] = node.value;
    }
    if (!node.note.empty()) object["note"] = node.note;
    if (!node.clause.empty()) object["clause"] = node.clause;
    object["offset"] = node.offset;
    object["length"] = node.length;
    if (node.kind == Node::Kind::derived) object["derived"] = true;
    if (node.is_group() || !node.children.empty()) object["fields"] = to_json(node.children);
    array.push_back(std::move(object));
  }
  return array;
}

Result<std::vector<Node>> parse_text(std::string_view text) {
  // The open groups, outermost first, with the indentation of what is inside them.
  struct Open {
    std::vector<Node>* nodes;
    std::size_t indent;
  };
  std::vector<Node> top;
  std::vector<Open> open{{&top, 0}};
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = without_remark(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const std::string_view content = trimmed(line);
    if (content.empty()) continue;
    const std::size_t indent = line.find_first_not_of(' ');
    while (open.size() > 1 && indent < open.back().indent) open.pop_back();
    if (indent > open.back().indent) {
      std::vector<Node>& nodes = *open.back().nodes;
      if (nodes.empty() || !nodes.back().is_group()) {
        return fail(Category::malformed,
                    fmt::format("line {}: it is indented, and the line above holds no group; "
                                "two blanks go with each level",
                                number));
      }
      open.push_back({&nodes.back().children, indent});
    }
    Node node;
    node.line = number;
    const std::size_t colon = content.find(':');
    node.name = trimmed(content.substr(0, colon));
    if (colon != std::string_view::npos) {
      node.kind = Node::Kind::text;
      node.value = trimmed(content.substr(colon + 1));
    }
    open.back().nodes->push_back(std::move(node));
  }
  return top;
}

Result<std::vector<Node>> parse_json(std::string_view text) {
  const ordered_json json = ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Category::malformed, "this is no JSON");
  if (json.is_array()) return nodes_of(json);
  const ordered_json* object = &json;
  if (json.is_object() && json.contains("messages") && json["messages"].is_array()) {
    if (json["messages"].size() != 1) {
      return fail(Category::malformed, fmt::format("the JSON holds {} messages; build takes one",
                                                   json["messages"].size()));
    }
    object = &json["messages"][0];
  }
  if (!object->is_object() || !object->contains("payloads")) {
    return fail(Category::malformed, "the JSON has no \"payloads\"; explain --json shows the form");
  }
  return nodes_of((*object)["payloads"]);
}

}  // namespace keystub::mikey::cli
