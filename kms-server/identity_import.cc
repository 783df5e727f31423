#include "kms-server/identity_import.h"

#include <fmt/format.h>

#include <algorithm>

#include "kms-server/identity_uri.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {
namespace {

Result<void> check_import_id(std::string_view id) {
  const bool good = id.size() == kImportIdSize && std::ranges::all_of(id, [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (good) return {};
  return fail(Category::malformed,
              fmt::format("the id of an import has {} hex digits in lower case", kImportIdSize));
}

// The canonical forms of a list, each with the name of its field in front of what is wrong.
Result<std::vector<std::string>> canonical_list(
    std::string_view field, const std::vector<std::string>& values, std::size_t limit,
    Result<std::string> (*canonical)(std::string_view)) {
  if (values.size() > limit) {
    return fail(Category::conflict,
                fmt::format("{}: {} are too many, the limit is {}", field, values.size(), limit));
  }
  std::vector<std::string> out;
  out.reserve(values.size());
  for (const std::string& value : values) {
    auto form = canonical(value);
    if (!form) return std::unexpected(std::move(form).error().with_context(field));
    out.push_back(std::move(*form));
  }
  return out;
}

}  // namespace

Result<ImportedIdentity> IdentityImport::prepare(NewIdentity one) const {
  ImportedIdentity out;
  out.line = one.line;
  out.uri = TRY(canonical_uri(one.uri));
  out.kind = one.kind;
  out.state = one.state;
  out.aliases = TRY(canonical_list("aliases", one.aliases, kMaxAliases, &canonical_uri));
  out.owned_patterns = TRY(
      canonical_list("owned_patterns", one.owned_patterns, kMaxOwnedPatterns, &canonical_pattern));
  out.groups = TRY(canonical_list("groups", one.groups, kMaxGroupsOfMember, &canonical_uri));
  if (one.psks.size() > kMaxPsks) {
    return fail(Category::conflict,
                fmt::format("psks: {} are too many, the limit is {}", one.psks.size(), kMaxPsks));
  }
  for (NewPsk& psk : one.psks) {
    auto wrapped = wrap_psk(parts_, out.uri, std::move(psk));
    if (!wrapped) return std::unexpected(std::move(wrapped).error().with_context("psks"));
    if (std::ranges::find(out.psks, wrapped->id, &WrappedPsk::id) != out.psks.end()) {
      return fail(Category::conflict, "psk_ids: two of its keys have the same id");
    }
    out.psks.push_back(std::move(*wrapped));
  }
  return out;
}

Result<ImportBatch> IdentityImport::prepare(NewIdentityBatch batch) const {
  TRY(check_import_id(batch.import_id));
  if (batch.identities.empty() || batch.identities.size() > kMaxImportBatch) {
    return fail(Category::malformed, fmt::format("a batch has 1 to {} identities, this one has {}",
                                                 kMaxImportBatch, batch.identities.size()));
  }
  ImportBatch out;
  out.import_id = std::move(batch.import_id);
  out.number = batch.number;
  out.skip_existing = batch.skip_existing;
  out.identities.reserve(batch.identities.size());
  for (NewIdentity& one : batch.identities) {
    const std::string name = record_name(one.line, one.uri);
    auto prepared = prepare(std::move(one));
    if (!prepared) return std::unexpected(std::move(prepared).error().with_context(name));
    out.identities.push_back(std::move(*prepared));
  }
  return out;
}

Result<ImportOutcome> IdentityImport::import_batch(const rpc::Caller& caller,
                                                   NewIdentityBatch batch) {
  const std::string id = batch.import_id;
  const std::uint64_t number = batch.number;
  std::string detail = fmt::format("batch {}", number);
  const auto work = [&]() -> Result<ImportOutcome> {
    const auto hold = parts_.kek.hold();
    ImportBatch prepared = TRY(prepare(std::move(batch)));
    const auto outcome = TRY(parts_.store.import_batch(std::move(prepared), deadline()));
    detail += outcome.done_before
                  ? ": done before"
                  : fmt::format(": {} created, {} skipped", outcome.created, outcome.skipped);
    return outcome;
  };
  return audit_.recorded(caller, "import_identities", id, work, detail);
}

Result<std::uint64_t> IdentityImport::resume(const rpc::Caller& caller, std::string_view import_id,
                                             bool restart) {
  TRY(check_import_id(import_id));
  if (!restart) return parts_.store.next_import_batch(import_id, deadline());
  TRY(audit_.recorded(caller, "restart_import", import_id,
                      [&] { return parts_.store.forget_import(import_id, deadline()); }));
  return 0;
}

}  // namespace keystub::kms
