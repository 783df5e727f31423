#include "kms-client/kmsctl/import_batches.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/time_util.h>

#include "kms-client/kmsctl/output.h"

namespace keystub::kmsctl {
namespace {

constexpr std::string_view kNever = "-";

Result<v1::IdentityState> state_of(const std::string& name) {
  for (const auto state : {v1::IDENTITY_STATE_ACTIVE, v1::IDENTITY_STATE_SUSPENDED}) {
    if (state_name(state) == name) return state;
  }
  return fail(Category::malformed,
              fmt::format("state: \"{}\" is neither active nor suspended", name));
}

Result<void> set_psk(v1::NewPsk& out, const IdentityRecord& record, std::size_t index) {
  if (!record.psk_ids.empty()) {
    auto id = id_octets(record.psk_ids[index]);
    if (!id) return std::unexpected(std::move(id).error().with_context("psk_ids"));
    out.set_psk_id(*id);
  }
  if (!record.psk_expiries.empty() && record.psk_expiries[index] != kNever) {
    using google::protobuf::util::TimeUtil;
    if (!TimeUtil::FromString(record.psk_expiries[index], out.mutable_expire_time())) {
      return fail(
          Category::malformed,
          fmt::format("psk_expiries: \"{}\" is no time: write 2027-01-31T12:00:00Z, or \"-\"",
                      record.psk_expiries[index]));
    }
  }
  const Bytes key = record.psks[index].reveal();
  out.set_psk(key.data(), key.size());
  return {};
}

Result<void> set_identity(v1::NewIdentity& out, const IdentityRecord& record) {
  out.set_line(record.line);
  out.set_uri(record.uri);
  out.set_kind(kind_of(record.kind));
  if (out.kind() == v1::IDENTITY_KIND_UNSPECIFIED) {
    return fail(Category::malformed, fmt::format("kind: \"{}\" is none of {}", record.kind,
                                                 fmt::join(kind_names(), ", ")));
  }
  out.set_state(TRY(state_of(record.state)));
  for (const auto& alias : record.aliases) out.add_aliases(alias);
  for (const auto& pattern : record.owned_patterns) out.add_owned_patterns(pattern);
  for (const auto& group : record.groups) out.add_groups(group);
  for (std::size_t i = 0; i < record.psks.size(); ++i) TRY(set_psk(*out.add_psks(), record, i));
  return {};
}

}  // namespace

ImportBatch::~ImportBatch() {
  for (v1::NewIdentity& identity : *request.mutable_identities()) {
    for (v1::NewPsk& psk : *identity.mutable_psks()) wipe(*psk.mutable_psk());
  }
}

Result<void> ImportBatches::read_ahead() {
  const auto record = TRY(reader_.next());
  if (!record) return {};
  if (auto set = set_identity(*ahead_.request.add_identities(), *record); !set) {
    return std::unexpected(
        std::move(set).error().with_context(fmt::format("{} line {}", file_, record->line)));
  }
  ahead_.first_line = record->line;
  ahead_.keys = record->psks.size();
  ahead_.without_keys = record->psks.empty() && !record->psk_ids.empty() ? 1 : 0;
  return {};
}

Result<std::optional<ImportBatch>> ImportBatches::next() {
  if (!std::exchange(begun_, true)) TRY(read_ahead());
  ImportBatch batch;
  std::size_t octets = 0;
  while (ahead_.size() == 1) {
    const std::size_t more = ahead_.request.ByteSizeLong();
    if (batch.size() == size_ || (batch.size() != 0 && octets + more > kMaxOctets)) break;
    if (batch.size() == 0) batch.first_line = ahead_.first_line;
    octets += more;
    batch.keys += std::exchange(ahead_.keys, 0);
    batch.without_keys += std::exchange(ahead_.without_keys, 0);
    // Handed over as it is: a key is not copied.
    batch.request.mutable_identities()->AddAllocated(
        ahead_.request.mutable_identities()->ReleaseLast());
    TRY(read_ahead());
  }
  if (batch.size() == 0) return std::optional<ImportBatch>();
  return std::optional<ImportBatch>(std::move(batch));
}

}  // namespace keystub::kmsctl
