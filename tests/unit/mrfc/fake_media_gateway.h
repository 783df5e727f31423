// FakeMediaGateway: an MRFP that remembers what it was asked and told, and can be made to fail.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mrfc-agent/media_gateway.h"

namespace keystub::mrfc::testing {

// Not thread-safe.
class FakeMediaGateway final : public MediaGateway {
 public:
  struct Stream {
    ReservedStream reserved;
    bool configured = false;
    StreamConfiguration configuration;
    bool tcp_started = false;
    bool tls_started = false;
  };

  // The step that fails from now on: "reserve", "configure", "start", "modify", "release".
  std::string failing;
  Category failing_with = Category::unavailable;
  // What was asked, in order: "reserve 1", "configure 1" …
  std::vector<std::string> calls;
  // Streams that are reserved and not released.
  std::map<StreamKey, Stream> streams;
  // Every key that ever left the MRFC.
  std::vector<PskCandidate> keys_sent;

  Stream& only() { return streams.begin()->second; }
  bool asked(std::string_view step) const {
    return std::ranges::any_of(calls,
                               [&](const std::string& call) { return call.starts_with(step); });
  }

  Result<ReservedStream> reserve_msrp(const std::string& context_id, const std::string&) override {
    TRY(step("reserve", context_id));
    ++count_;
    const std::string context =
        context_id.empty() ? "context-" + std::to_string(count_) : context_id;
    if (!context_id.empty() && !contexts_.contains(context_id)) {
      return fail(Category::not_found, "there is no context " + context_id);
    }
    contexts_.insert(context);
    ReservedStream reserved;
    reserved.key = {context, "stream-" + std::to_string(count_)};
    reserved.local = {"192.0.2.10", static_cast<std::uint16_t>(20000 + count_)};
    reserved.msrp_path = "msrps://192.0.2.10:" + std::to_string(reserved.local.port) + "/s" +
                         std::to_string(count_) + ";tcp";
    streams[reserved.key].reserved = reserved;
    return reserved;
  }

  Result<void> configure(const StreamKey& key, const StreamConfiguration& configuration,
                         const std::string&) override {
    TRY(step("configure", key.stream_id));
    Stream& stream = TRY(find(key)).get();
    if (stream.configured) return fail(Category::internal, "Configure comes once");
    stream.configured = true;
    stream.configuration.remote = configuration.remote;
    stream.configuration.roles = configuration.roles;
    stream.configuration.cipher_suites = configuration.cipher_suites;
    stream.configuration.remote_msrp_path = configuration.remote_msrp_path;
    set_keys(stream, configuration.keys);
    return {};
  }

  Result<void> start(const StreamKey& key, StreamRoles roles, const std::string&) override {
    TRY(step("start", key.stream_id));
    Stream& stream = TRY(find(key)).get();
    if (!stream.configured || stream.configuration.keys.size() != 1) {
      return fail(Category::internal, "Start needs a configured stream with one key");
    }
    stream.tcp_started = roles.tcp_client;
    stream.tls_started = roles.tls_client;
    return {};
  }

  Result<void> modify(const StreamKey& key, const std::vector<PskCandidate>& keys,
                      const std::string& path, const std::string&) override {
    TRY(step("modify", key.stream_id));
    Stream& stream = TRY(find(key)).get();
    if (!keys.empty()) set_keys(stream, keys);
    if (!path.empty()) stream.configuration.remote_msrp_path = path;
    return {};
  }

  Result<void> release(const StreamKey& key, const std::string&) override {
    TRY(step("release", key.stream_id));
    streams.erase(key);
    return {};
  }

 private:
  Result<void> step(std::string_view name, const std::string& about) {
    calls.push_back(std::string(name) + " " + about);
    if (failing == name) return fail(failing_with, "the fake MRFP is set to fail");
    return {};
  }
  Result<std::reference_wrapper<Stream>> find(const StreamKey& key) {
    const auto found = streams.find(key);
    if (found == streams.end()) return fail(Category::internal, "no stream " + key.stream_id);
    return std::ref(found->second);
  }
  void set_keys(Stream& stream, const std::vector<PskCandidate>& keys) {
    stream.configuration.keys.clear();
    for (const PskCandidate& key : keys) {
      stream.configuration.keys.push_back(key.clone());
      keys_sent.push_back(key.clone());
    }
  }

  int count_ = 0;
  std::set<std::string> contexts_;
};

}  // namespace keystub::mrfc::testing
