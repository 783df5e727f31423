#include "kms-client/kmsctl/bulk_export.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "kms-client/kmsctl/output.h"
#include "kms-client/kmsctl/progress.h"

namespace keystub::kmsctl {
namespace {

IdentityRecord record_of(const v1::Identity& identity) {
  IdentityRecord record;
  record.uri = identity.uri();
  record.kind = kind_name(identity.kind());
  record.state = state_name(identity.state());
  record.aliases.assign(identity.aliases().begin(), identity.aliases().end());
  record.owned_patterns.assign(identity.owned_patterns().begin(), identity.owned_patterns().end());
  record.groups.assign(identity.groups().begin(), identity.groups().end());
  bool some_end = false;
  for (const v1::PskInfo& psk : identity.psks()) {
    record.psk_ids.push_back(id_text(psk.psk_id()));
    record.psk_expiries.push_back(psk.has_expire_time() ? rfc3339(psk.expire_time()) : "-");
    some_end = some_end || psk.has_expire_time();
  }
  if (!some_end) record.psk_expiries.clear();
  return record;
}

Result<std::uint64_t> write(AdminClient& admin, const ExportOptions& options, std::ostream& out,
                            Progress& progress, const Clock& clock) {
  std::uint64_t written = 0;
  const auto add = [&](const v1::Identity& identity) {
    write_record(out, options.format, record_of(identity));
    progress.update(++written, 0, clock.steady_now());
  };
  write_header(out, options.format);
  TRY(admin.list_groups(options.prefix, add));
  TRY(admin.list(options.prefix, [&](const v1::Identity& identity) {
    if (identity.kind() != v1::IDENTITY_KIND_GROUP) add(identity);
  }));
  out.flush();
  if (!out) return fail(Category::unavailable, "the export cannot be written: is the disk full?");
  return written;
}

}  // namespace

Result<std::uint64_t> export_identities(AdminClient& admin, const ExportOptions& options,
                                        std::ostream& out, const Clock& clock,
                                        std::ostream& progress, bool terminal) {
  Progress bar(progress, terminal, "identities", 0, clock.steady_now());
  if (options.file.empty()) return write(admin, options, out, bar, clock);

  std::error_code error;
  if (std::filesystem::exists(options.file, error)) {
    return fail(Category::conflict,
                fmt::format("{} exists already and is not overwritten", options.file));
  }
  const std::string partial = options.file + ".partial";
  std::ofstream file(partial, std::ios::trunc | std::ios::binary);
  auto written = write(admin, options, file, bar, clock);
  file.close();
  if (written) std::filesystem::rename(partial, options.file, error);
  if (written && error) {
    written = fail(Category::unavailable,
                   fmt::format("{} cannot be made: {}", options.file, error.message()));
  }
  std::filesystem::remove(partial, error);
  return written;
}

}  // namespace keystub::kmsctl
