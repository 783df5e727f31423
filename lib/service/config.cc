// Configuration over toml++, see config.h.
#include "service/config.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include <toml++/toml.h>

namespace keystub::service {
namespace {

constexpr std::string_view kPrefix = "KEYSTUB_";

template <class Unit>
struct Suffix {
  std::string_view text;
  Unit factor;
};

// A whole number followed by one of the suffixes; nothing when it is not, or does not fit.
template <class Number, std::size_t N>
std::optional<Number> number_with_suffix(std::string_view text,
                                         const std::array<Suffix<Number>, N>& suffixes) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() || number < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& suffix : suffixes) {
    if (unit != suffix.text) continue;
    Number product = 0;
    if (__builtin_mul_overflow(number, suffix.factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string render_duration(std::chrono::milliseconds time) {
  const auto ms = time.count();
  if (ms != 0 && ms % 86'400'000 == 0) return std::to_string(ms / 86'400'000) + "d";
  if (ms != 0 && ms % 3'600'000 == 0) return std::to_string(ms / 3'600'000) + "h";
  if (ms != 0 && ms % 60'000 == 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1'000 == 0) return std::to_string(ms / 1'000) + "s";
  return std::to_string(ms) + "ms";
}

std::string render_size(std::uint64_t size) {
  for (const auto& [unit, factor] : {std::pair<const char*, std::uint64_t>{"GiB", 1ULL << 30},
                                     {"MiB", 1ULL << 20},
                                     {"KiB", 1ULL << 10}}) {
    if (size != 0 && size % factor == 0) return std::to_string(size / factor) + unit;
  }
  return std::to_string(size);
}

std::string environment_name(std::string_view key) {
  std::string name(kPrefix);
  for (const char c : key) {
    if (c == '.') {
      name += "__";
    } else {
      name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  return name;
}

}  // namespace

std::string SocketAddress::to_string() const {
  const std::string port_text = ":" + std::to_string(port);
  return ip.find(':') == std::string::npos ? ip + port_text : "[" + ip + "]" + port_text;
}

Result<SocketAddress> parse_socket_address(std::string_view text) {
  const auto wrong = [&] {
    return fail(Category::malformed,
                "\"" + std::string(text) +
                    "\" is not an address with a port: write \"127.0.0.1:7443\" or \"[::1]:7443\"");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view ip = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  SocketAddress address;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), address.port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return wrong();
  const bool bracketed = ip.size() > 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  address.ip = ip;
  unsigned char octets[16];
  if (::inet_pton(bracketed ? AF_INET6 : AF_INET, address.ip.c_str(), octets) != 1) return wrong();
  return address;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  static constexpr std::array<Suffix<std::int64_t>, 5> kUnits = {
      {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  const auto ms = number_with_suffix(text, kUnits);
  if (!ms) {
    return fail(Category::malformed, "\"" + std::string(text) +
                                         "\" is not a duration: write \"250ms\", \"60s\", \"5m\", "
                                         "\"1h\" or \"1d\"");
  }
  return std::chrono::milliseconds(*ms);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  static constexpr std::array<Suffix<std::uint64_t>, 4> kUnits = {
      {{"", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}}};
  const auto size = number_with_suffix(text, kUnits);
  if (!size) {
    return fail(Category::malformed,
                "\"" + std::string(text) +
                    "\" is not a size: write \"512\", \"64KiB\", \"1MiB\" or \"2GiB\"");
  }
  return *size;
}

struct Config::Impl {
  struct Known {
    std::string key;
    std::string rendered;
    std::string origin;
  };

  toml::table root;
  std::string source;
  std::filesystem::path folder;  // relative paths start here
  Environment environment;
  std::vector<Known> known;  // in the order of reading
  std::set<std::string, std::less<>> known_keys;
  std::vector<std::string> faults;

  const toml::node* node(std::string_view key) const {
    const toml::table* table = &root;
    for (;;) {
      const std::size_t dot = key.find('.');
      const toml::node* found = table->get(key.substr(0, dot));
      if (found == nullptr || dot == std::string_view::npos) return found;
      table = found->as_table();
      if (table == nullptr) return nullptr;
      key.remove_prefix(dot + 1);
    }
  }
  const std::string* variable(std::string_view key) const {
    const auto found = environment.find(environment_name(key));
    return found == environment.end() ? nullptr : &found->second;
  }

  std::string place_of(const toml::node& at) const {
    return source + ":" + std::to_string(at.source().begin.line) + ":" +
           std::to_string(at.source().begin.column);
  }
  std::string origin(std::string_view key) const {
    if (variable(key) != nullptr) return environment_name(key);
    const toml::node* found = node(key);
    return found == nullptr ? "default" : place_of(*found);
  }
  void fault(std::string_view key, std::string_view sentence) {
    std::string at = origin(key);
    if (at == "default") at = source.empty() ? "(no configuration file)" : source + ":1:1";
    faults.push_back(at + ": " + std::string(key) + " " + std::string(sentence));
  }
  void record(std::string_view key, std::string rendered) {
    if (!known_keys.emplace(key).second) return;
    known.push_back({std::string(key), std::move(rendered), origin(key)});
  }

  // The text of a key whose TOML type is a string; nothing when it is not set or not a string.
  std::optional<std::string> text(std::string_view key) {
    if (const std::string* value = variable(key)) return *value;
    const toml::node* found = node(key);
    if (found == nullptr) return std::nullopt;
    if (const auto* value = found->as_string()) return value->get();
    fault(key, "must be a string in quotes");
    return std::nullopt;
  }

  void unknown(const toml::table& table, const std::string& prefix) {
    for (const auto& [name, value] : table) {
      const std::string key = prefix + std::string(name.str());
      if (known_keys.contains(key)) continue;
      const auto* below = value.as_table();
      const bool holds_known =
          std::ranges::any_of(known_keys, [&](const auto& k) { return k.starts_with(key + "."); });
      if (below != nullptr && holds_known) {
        unknown(*below, key + ".");
      } else {
        const auto& at = name.source().begin;
        faults.push_back(source + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                         ": " + key + " is not a key of this program: see --dump-config");
      }
    }
  }
};

Config::Config(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(Config&&) noexcept = default;
Config::~Config() = default;

Result<Config> Config::load(const std::filesystem::path& file) {
  Environment environment;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return load(file, std::move(environment));
}

Result<Config> Config::load_file_alone(const std::filesystem::path& file) { return load(file, {}); }

Result<Config> Config::load(const std::filesystem::path& file, Environment environment) {
  if (file.empty()) return parse("", "", std::move(environment));
  std::error_code error;
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file, error)) {
    return fail(Category::not_found, "configuration file " + file.string() + " cannot be read");
  }
  const std::string text(std::istreambuf_iterator<char>(in), {});
  Config config = TRY(parse(text, file.string(), std::move(environment)));
  config.impl_->folder = std::filesystem::absolute(file, error).parent_path();
  return config;
}

Result<Config> Config::parse(std::string_view text, std::string source, Environment environment) {
  auto impl = std::make_unique<Impl>();
  impl->source = std::move(source);
  impl->environment = std::move(environment);
  try {
    impl->root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(Category::malformed, impl->source + ":" +
                                         std::to_string(error.source().begin.line) + ":" +
                                         std::to_string(error.source().begin.column) + ": " +
                                         std::string(error.description()));
  }
  return Config(std::move(impl));
}

bool Config::is_set(std::string_view key) const {
  return impl_->variable(key) != nullptr || impl_->node(key) != nullptr;
}

void Config::fault(std::string_view key, std::string_view sentence) { impl_->fault(key, sentence); }

std::string Config::string(std::string_view key, std::string_view fallback) {
  std::string value = impl_->text(key).value_or(std::string(fallback));
  impl_->record(key, in_quotes(value));
  return value;
}

std::string Config::required_string(std::string_view key) {
  const std::size_t before = impl_->faults.size();
  std::string value = string(key, "");
  if (value.empty() && impl_->faults.size() == before) impl_->fault(key, "is required");
  return value;
}

std::string Config::choice(std::string_view key, std::string_view fallback,
                           const std::vector<std::string>& choices) {
  std::string value = impl_->text(key).value_or(std::string(fallback));
  if (std::ranges::find(choices, value) == choices.end()) {
    std::string list;
    for (const auto& choice : choices) list += (list.empty() ? "" : ", ") + in_quotes(choice);
    impl_->fault(key, "is " + in_quotes(value) + ", must be one of " + list);
    value = fallback;
  }
  impl_->record(key, in_quotes(value));
  return value;
}

std::int64_t Config::integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                             std::int64_t max) {
  std::optional<std::int64_t> value;
  if (const std::string* text = impl_->variable(key)) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size() && !text->empty()) {
      value = number;
    } else {
      impl_->fault(key, "must be a whole number");
    }
  } else if (const toml::node* node = impl_->node(key)) {
    if (const auto* number = node->as_integer()) {
      value = number->get();
    } else {
      impl_->fault(key, "must be a whole number");
    }
  }
  if (value && (*value < min || *value > max)) {
    impl_->fault(key, "is " + std::to_string(*value) + ", must be from " + std::to_string(min) +
                          " to " + std::to_string(max));
    value.reset();
  }
  impl_->record(key, std::to_string(value.value_or(fallback)));
  return value.value_or(fallback);
}

bool Config::boolean(std::string_view key, bool fallback) {
  std::optional<bool> value;
  if (const std::string* text = impl_->variable(key)) {
    if (*text == "true") value = true;
    if (*text == "false") value = false;
    if (!value) impl_->fault(key, "must be true or false");
  } else if (const toml::node* node = impl_->node(key)) {
    if (const auto* flag = node->as_boolean()) value = flag->get();
    if (!value) impl_->fault(key, "must be true or false, without quotes");
  }
  impl_->record(key, value.value_or(fallback) ? "true" : "false");
  return value.value_or(fallback);
}

std::chrono::milliseconds Config::duration(std::string_view key, std::chrono::milliseconds fallback,
                                           std::chrono::milliseconds min,
                                           std::chrono::milliseconds max) {
  auto value = fallback;
  if (const auto text = impl_->text(key)) {
    const auto parsed = parse_duration(*text);
    if (!parsed) {
      impl_->fault(key, ": " + parsed.error().text());
    } else if (*parsed < min || *parsed > max) {
      impl_->fault(key, "is " + *text + ", must be from " + render_duration(min) + " to " +
                            render_duration(max));
    } else {
      value = *parsed;
    }
  }
  impl_->record(key, in_quotes(render_duration(value)));
  return value;
}

std::uint64_t Config::size(std::string_view key, std::uint64_t fallback, std::uint64_t min,
                           std::uint64_t max) {
  auto value = fallback;
  std::optional<std::string> text;
  const toml::node* node = impl_->node(key);
  if (impl_->variable(key) == nullptr && node != nullptr && node->is_integer()) {
    text = std::to_string(node->as_integer()->get());
  } else {
    text = impl_->text(key);
  }
  if (text) {
    const auto parsed = parse_size(*text);
    if (!parsed) {
      impl_->fault(key, ": " + parsed.error().text());
    } else if (*parsed < min || *parsed > max) {
      impl_->fault(
          key, "is " + *text + ", must be from " + render_size(min) + " to " + render_size(max));
    } else {
      value = *parsed;
    }
  }
  impl_->record(key, in_quotes(render_size(value)));
  return value;
}

std::filesystem::path Config::path(std::string_view key, const std::filesystem::path& fallback) {
  std::filesystem::path value = impl_->text(key).value_or(fallback.string());
  if (!value.empty() && value.is_relative() && !impl_->folder.empty()) {
    value = (impl_->folder / value).lexically_normal();
  }
  impl_->record(key, in_quotes(value.string()));
  return value;
}

std::filesystem::path Config::required_path(std::string_view key) {
  const std::size_t before = impl_->faults.size();
  std::filesystem::path value = path(key, {});
  if (value.empty() && impl_->faults.size() == before) impl_->fault(key, "is required");
  return value;
}

std::vector<std::string> Config::strings(std::string_view key,
                                         const std::vector<std::string>& fallback) {
  std::vector<std::string> values = fallback;
  if (const std::string* text = impl_->variable(key)) {
    values.clear();
    for (std::size_t start = 0; start < text->size();) {
      const std::size_t comma = std::min(text->find(',', start), text->size());
      if (comma > start) values.push_back(text->substr(start, comma - start));
      start = comma + 1;
    }
  } else if (const toml::node* node = impl_->node(key)) {
    const toml::array* list = node->as_array();
    if (list == nullptr || !std::ranges::all_of(*list, [](const toml::node& element) {
          return element.is_string();
        })) {
      impl_->fault(key, "must be a list of strings: [\"a\", \"b\"]");
    } else {
      values.clear();
      for (const toml::node& element : *list) values.push_back(element.as_string()->get());
    }
  }
  std::string rendered;
  for (const auto& value : values) rendered += (rendered.empty() ? "" : ", ") + in_quotes(value);
  impl_->record(key, "[" + rendered + "]");
  return values;
}

SocketAddress Config::address(std::string_view key, std::string_view fallback) {
  std::string value = impl_->text(key).value_or(std::string(fallback));
  auto parsed = parse_socket_address(value);
  if (!parsed) {
    impl_->fault(key, ": " + parsed.error().text());
    value = fallback;
    parsed = parse_socket_address(value);
  }
  impl_->record(key, in_quotes(value));
  return parsed.value_or(SocketAddress{});
}

std::optional<SocketAddress> Config::optional_address(std::string_view key) {
  const std::string value = impl_->text(key).value_or("");
  impl_->record(key, in_quotes(value));
  if (value.empty()) return std::nullopt;
  auto parsed = parse_socket_address(value);
  if (!parsed) {
    impl_->fault(key, ": " + parsed.error().text());
    return std::nullopt;
  }
  return *parsed;
}

Result<void> Config::finish() {
  impl_->unknown(impl_->root, "");
  std::set<std::string> names;
  for (const auto& key : impl_->known_keys) names.insert(environment_name(key));
  for (const auto& [name, value] : impl_->environment) {
    // Single underscores may be somebody else's variable; two are only ever ours.
    if (name.find("__") != std::string::npos && !names.contains(name)) {
      impl_->faults.push_back(name + ": no key of this program has this variable");
    }
  }
  if (impl_->faults.empty()) return {};
  std::string all;
  for (const auto& line : impl_->faults) all += (all.empty() ? "" : "\n") + line;
  return fail(Category::malformed, std::move(all));
}

std::map<std::string, std::string> Config::values() const {
  std::map<std::string, std::string> out;
  for (const auto& known : impl_->known) out.emplace(known.key, known.rendered);
  return out;
}

std::string Config::dump() const {
  std::string out;
  for (const auto& known : impl_->known) {
    out += known.key + " = " + known.rendered + "  # " + known.origin + "\n";
  }
  return out;
}

}  // namespace keystub::service
