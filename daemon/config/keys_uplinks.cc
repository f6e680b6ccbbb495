#include <filesystem>
#include <set>
#include <string>

#include "core/text.h"
#include "daemon/config/files.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/uplink_rows.h"
#include "uplink/placeholders.h"

namespace tidegate::daemon {
namespace {

using uplink::FileFormat;
using uplink::FileUplinkOptions;

constexpr std::size_t kDirectoryShown = 200;

void finish_csv(const FileUplinkOptions& uplink, const Scope& scope) {
  if (uplink.format != FileFormat::csv) {
    if (scope.has("spreadsheet_safe") && scope.is_sound("format")) {
      scope.wrong("spreadsheet_safe", "is only for format = \"csv\"");
    }
    return;
  }
  if (uplink.forwarder.streams.size() < 2 || uplink.path.find("{stream}") != std::string::npos) return;
  scope.wrong("path",
              "must have {stream} in it, found " + scope.found("path") +
                  ": with format = \"csv\" each stream has columns of its own; or set \"streams\" to one of them");
}

// A file that never ends would never have its name.
void finish_parts(const FileUplinkOptions& uplink, const Scope& scope) {
  if (!scope.has("part_suffix") || !scope.is_sound("part_suffix")) return;
  const std::size_t name = uplink.path.rfind('/') + 1;  // 0 without one
  const std::size_t date = uplink.path.find("{date}");
  if (date < name) {
    return scope.wrong("path", "must have {date} in the file's name, not in its directory, beside part_suffix, found " +
                                   scope.found("path"));
  }
  if (date == std::string::npos && uplink.rotate_bytes == 0) {
    scope.wrong("part_suffix", "needs \"rotate_size\" or {date} in \"path\": without them a file is never finished");
  }
}

// The files that it may write to, by one name each: whose directory is a link to another's is not seen here.
std::set<std::string> files_of(const FileUplinkOptions& uplink) {
  std::set<std::string> files;
  for (const Stream stream : uplink.forwarder.streams) {
    const auto path = uplink::fill_placeholders(
        uplink.path, {{"stream", to_string(stream)}, {"gateway", "{gateway}"}, {"date", "{date}"}});
    files.insert(std::filesystem::path(path ? *path : uplink.path).lexically_normal().string());
  }
  return files;
}

// It may come later, as a disk that is plugged in does. Where a day or the gateway's id is in its name, that is not
// known here.
void warn_of_directory(const std::string& directory, const Scope& scope) {
  if (directory.find('{') != std::string::npos) return;
  const std::string trouble = directory_trouble(directory.empty() ? "." : directory);
  if (trouble.empty()) return;
  scope.odd("path", "the directory " + clip(directory, kDirectoryShown) + " " + trouble +
                        "; the uplink does not make it, and until files can be made there records wait in the log");
}

void finish_file(FileUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  if (scope.has("path") && scope.is_sound("path")) {
    finish_csv(uplink, scope);
    finish_parts(uplink, scope);
  }
  if (scope.has("path") && scope.is_sound("path")) {
    for (const std::string& file : files_of(uplink)) {
      scope.claim("file", file, "path", "two uplinks cannot write to one file");
      if (!scope.is_sound("path")) return;  // one word of it is enough
    }
    std::set<std::string> directories;
    for (const std::string& file : files_of(uplink))
      directories.insert(std::filesystem::path(file).parent_path().string());
    for (const std::string& directory : directories) warn_of_directory(directory, scope);
  }
}

Result<void> check_path(const std::string& path) { return check_placeholders(path, {"gateway", "stream", "date"}); }

Result<void> check_part_suffix(const std::string& suffix) {
  constexpr std::size_t kBytesMax = 16;
  const bool is_good = suffix.size() >= 2 && suffix.size() <= kBytesMax && suffix.front() == '.' &&
                       suffix.find_first_of("/*?{}") == std::string::npos;
  if (is_good) return {};
  return fail(ErrorCode::invalid, "must be a suffix as \".part\", found \"" + clip(suffix) + "\"");
}

Section file_keys() {
  using namespace rows;
  using Owner = FileUplinkOptions;
  Section section = list<Config>("file", &Config::file_uplinks, "Records as lines of JSON (NDJSON) or CSV in files.");
  section.keys = {
      name_row<Owner>(),
      checked<Owner>("path", &Owner::path, check_path)
          .required()
          .must_be("a path with {gateway}, {stream} and {date}")
          .example("\"/srv/export/{stream}-{date}.ndjson\"")
          .says(
              "The file, made when it is not there. Its directory is not made: until it is there, and the user of the "
              "service may write to it, records wait in the log; `tidegate check` warns of that. `{date}` is the "
              "day in UTC, `YYYY-MM-DD`. The service may write there only where a drop-in of its unit says so, with "
              "`ReadWritePaths=`."),
      choice<Owner, FileFormat>("format", &Owner::format, {{"ndjson", FileFormat::ndjson}, {"csv", FileFormat::csv}})
          .by_default("ndjson")
          .says("A line of JSON a record, or CSV (RFC 4180) with a header line: [how they "
                "look](batch-format.md#files). With \"csv\" and several streams `path` needs `{stream}`."),
      boolean<Owner>("spreadsheet_safe", &Owner::spreadsheet_safe)
          .by_default(false)
          .says(
              "With `format = \"csv\"`: an apostrophe goes before texts that begin with `=`, `+`, `-`, `@`, a tab or a "
              "line break, which a spreadsheet would run as a formula. Devices may send such texts. The text then "
              "does not read back the same."),
      size<Owner>("rotate_size", &Owner::rotate_bytes, 64 * 1024, std::uint64_t{1} << 40U)
          .example("\"16MiB\"")
          .says(
              "A file that has reached this gets the epoch and the sequence of its last record into its name, "
              "`out.ndjson` becomes `out.3-123401.ndjson`, and is whole and never touched again: for whoever collects "
              "files. Without it a file grows as long as `path` stays the same."),
      checked<Owner>("part_suffix", &Owner::part_suffix, check_part_suffix)
          .must_be("a suffix as \".part\"")
          .example("\".part\"")
          .says(
              "Stands behind the name of a file as long as it is written; what is finished has its name at once and is "
              "whole. With `{date}` a file of another day is finished when a stream that it has goes on in the next. "
              "Needs "
              "`rotate_size` or `{date}` in the file's name."),
  };
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  section.sections = {batch_keys<Owner>(), weight_keys<Owner>()};
  section.finish = finish<Owner>(finish_file);
  return section;
}

}  // namespace

Section uplink_keys() {
  using namespace rows;
  Section section = table<Config>(
      "uplink", [](Config & config) -> auto& { return config; }, "Where readings, alarms and events go.");
  section.sections = {mqtt_uplink_keys(), kafka_uplink_keys(), postgresql_uplink_keys(), http_uplink_keys(),
                      file_keys()};
  return section;
}

}  // namespace tidegate::daemon
